//! The mailer: sends one email at a time over a session that it keeps, and says what can be known about it.

use std::fmt;
use std::time::Duration;

use lettre::message::Mailbox;
use tracing::Instrument as _;

use crate::address::on_the_wire;
use crate::delivery::{About, Delivery};
use crate::letter::Letter;
use crate::server::{ConfigError, Server};
use crate::session::{Session, StepError, Timeouts};
use crate::{QueuedEmail, trace};

/// A server's reply can be 100 kB long; a reason need not be.
const REASON_CHARS_MAX: usize = 300;

/// How far an attempt got; decides what its failure means.
#[derive(Clone, Copy)]
enum Stage {
    /// TCP, TLS, greeting, EHLO, AUTH: about the server and us, never about this email.
    Session,
    /// MAIL, which names the sender, the same for all emails. Only a refusal for good is taken for one of this email.
    Sender,
    /// RCPT, DATA: the email's own, nothing of it sent yet.
    Recipient,
    /// After 354.
    Content,
}

/// Sends emails to one SMTP server: in the clear, or (in a build with the feature `tls`) encrypted from the first byte.
pub struct Mailer {
    server: Server,
    from: Mailbox,
    timeouts: Timeouts,
    idle: Option<Session>,
}

impl Mailer {
    /// For the server at `smtp[s]://[user:password@]host[:port]` (port 25, or 465, unless given) and the sender `from`
    /// (`address` or `Name <address>`). Connects when there is something to send.
    pub fn new(url: &str, from: &str) -> Result<Self, ConfigError> {
        let mut from: Mailbox = from.parse()?;
        from.email = on_the_wire(&from.email)?;
        Ok(Self { server: Server::parse(url)?, from, timeouts: Timeouts::default(), idle: None })
    }

    /// A mailer for the same server, with a session of its own.
    #[must_use]
    pub fn another(&self) -> Self {
        let Self { server, from, timeouts, .. } = self;
        Self { server: server.clone(), from: from.clone(), timeouts: *timeouts, idle: None }
    }

    /// With other timeouts than the default of 1 s to connect and 5 s for a command.
    #[must_use]
    pub fn with_timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// The longest that one [`send`](Self::send) can take.
    pub fn send_max(&self) -> Duration {
        self.timeouts.send_max()
    }

    /// Sends one email over the session left by the one before, or a new one.
    pub async fn send(&mut self, email: &QueuedEmail) -> Delivery {
        let letter = match Letter::compose(&self.from, email) {
            Ok(letter) => letter,
            Err(error) => {
                return Delivery::Refused { reason: error.to_string() };
            }
        };
        let span = trace::send_span(email, &self.server);
        let delivery = self.deliver(&letter).instrument(span.clone()).await;
        trace::record_outcome(&span, &delivery);
        delivery
    }

    async fn deliver(&mut self, letter: &Letter) -> Delivery {
        match self.attempt(letter).await {
            Ok(session) => {
                fail::fail_point!("mail::accepted");
                self.idle = Some(session);
                Delivery::Accepted
            }
            Err((stage, error)) => judge(stage, &error),
        }
    }

    /// Whether there is a session, as far as is known.
    pub(crate) fn has_session(&self) -> bool {
        self.idle.is_some()
    }

    /// Opens a session for the next email.
    ///
    /// # Errors
    /// Why the server cannot be used now.
    pub(crate) async fn open(&mut self) -> Result<(), String> {
        let opening = Session::open(&self.server, self.timeouts);
        self.idle = Some(opening.await.map_err(|error| reason(&error))?);
        Ok(())
    }

    /// Closes the session, if there is one.
    pub async fn quit(&mut self) {
        if let Some(session) = self.idle.take() {
            session.quit().await;
        }
    }

    /// Returns the session only after a success: after a failure, or when this is cancelled, it is in no known state
    /// and is dropped.
    async fn attempt(&mut self, letter: &Letter) -> Result<Session, (Stage, StepError)> {
        let mut session = self.begin(letter).await?;
        fail::fail_point!("mail::connected");
        session.rcpt(letter).await.map_err(|error| (Stage::Recipient, error))?;
        session.data().await.map_err(|error| (Stage::Recipient, error))?;
        fail::fail_point!("mail::data");
        session.content(letter).await.map_err(|error| (Stage::Content, error))?;
        Ok(session)
    }

    /// A session that has accepted MAIL.
    async fn begin(&mut self, letter: &Letter) -> Result<Session, (Stage, StepError)> {
        if let Some(mut session) = self.idle.take() {
            match session.mail(letter).await {
                Ok(()) => return Ok(session),
                // The server was not even asked.
                Err(error @ StepError::NoSmtpUtf8) => {
                    self.idle = Some(session);
                    return Err((Stage::Sender, error));
                }
                // Servers end idle sessions, with 421 or without a word. That is no failure of this email.
                Err(error) if matches!(error.reply(), None | Some(421)) => {
                    tracing::debug!(%error, "idle SMTP session has ended");
                }
                Err(error) => return Err((Stage::Sender, error)),
            }
        }
        let opening = Session::open(&self.server, self.timeouts);
        let mut session = opening.await.map_err(|error| (Stage::Session, error))?;
        session.mail(letter).await.map_err(|error| (Stage::Sender, error))?;
        Ok(session)
    }
}

impl fmt::Debug for Mailer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Mailer")
            .field("host", &self.server.host)
            .field("port", &self.server.port)
            .field("authenticates", &self.server.credentials.is_some())
            .finish_non_exhaustive()
    }
}

fn judge(stage: Stage, error: &StepError) -> Delivery {
    let reason = reason(error);
    let about = match stage {
        Stage::Session => About::Server,
        _ if error.reply().is_some_and(refuses_email) || matches!(error, StepError::NoSmtpUtf8) => {
            return Delivery::Refused { reason };
        }
        Stage::Content if error.reply().is_none() => return Delivery::Unknown { reason },
        // The server cannot do what this email alone asks for, SMTPUTF8.
        Stage::Sender if error.reply() == Some(455) => About::Email,
        Stage::Sender => About::Server,
        Stage::Recipient | Stage::Content if error.ends_session() => About::Either,
        Stage::Recipient | Stage::Content => About::Email,
    };
    // No session, or nothing sent yet, or the server has said, if only after the content, that it did not take it.
    Delivery::Deferred { reason, about }
}

fn reason(error: &StepError) -> String {
    error.to_string().chars().take(REASON_CHARS_MAX).collect()
}

/// 5yz is for good, unless it asks for a login (RFC 4954, section 6): any command may meet that, and it is not about
/// the email.
fn refuses_email(code: u16) -> bool {
    code >= 500 && !matches!(code, 530 | 534 | 535 | 538)
}
