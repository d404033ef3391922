//! What one attempt to send an email came to, and whom its failure is about.

/// What is known about an email after one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The server took responsibility for it.
    Accepted,
    /// It will not be accepted however often it is sent.
    Refused {
        /// For the operator.
        reason: String,
    },
    /// It was certainly not delivered and may be tried again.
    Deferred {
        /// For the operator.
        reason: String,
        /// Whom that is about.
        about: About,
    },
    /// The server asked for its content and the reply to that is missing: delivered or not, nobody knows.
    Unknown {
        /// For the operator.
        reason: String,
    },
}

/// Whom a transient failure is about, as far as one can tell by the step at which it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The server has answered to what is this email's own, and works: a mailbox that is busy (450) is nobody else's affair.
    Email,
    /// The server, or our account there. It came before anything of the email's own was said: another email would have met
    /// the same.
    Server,
    /// The server gave up (421, or without a word, which RFC 5321, section 3.8, treats as the same) at one of the email's own
    /// commands. As a rule that is about the server. But where one mailbox makes it do that every time, its email has to end one
    /// day.
    Either,
}

impl Delivery {
    /// Why other emails had better wait as well, if so.
    pub(crate) fn trouble_of_the_server(&self) -> Option<&str> {
        match self {
            Self::Deferred { reason, about: About::Server | About::Either } | Self::Unknown { reason } => {
                Some(reason)
            }
            Self::Accepted | Self::Refused { .. } | Self::Deferred { about: About::Email, .. } => None,
        }
    }
}
