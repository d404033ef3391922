//! What one attempt to send an email came to.

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
    },
    /// The server asked for its content and the reply to that is missing: delivered or not, nobody knows.
    Unknown {
        /// For the operator.
        reason: String,
    },
}
