//! One SMTP session, command by command (RFC 5321): each step is bounded in time and says how it failed.

use std::fmt::Display;
use std::io;
use std::time::Duration;

use lettre::transport::smtp;
use lettre::transport::smtp::authentication::DEFAULT_MECHANISMS;
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::commands::{Data, Mail, Quit, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::{Response, Severity};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::final_dot::FinalDot;
use crate::letter::Letter;
use crate::server::{Server, Tls};

/// How long a server may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For resolving its name and opening a TCP connection.
    pub connect: Duration,
    /// For each command, the message content being one.
    pub command: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(1), command: Duration::from_secs(5) }
    }
}

impl Timeouts {
    /// The longest that one email can take: MAIL on a stale session, then connect, EHLO, AUTH, MAIL, RCPT, DATA,
    /// content.
    pub(crate) fn send_max(self) -> Duration {
        self.connect + 7 * self.command
    }
}

/// Why a step failed. Each text stands alone: it ends up in the queue as the reason.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Smtp(#[from] smtp::Error),
    #[error("unexpected reply {0}")]
    Unexpected(u16),
    #[error("the server does not announce SMTPUTF8, which an address that is not ASCII before its @ needs")]
    NoSmtpUtf8,
}

impl StepError {
    /// The reply code with which the server said no; `None` if it said nothing that can be understood.
    pub(crate) fn reply(&self) -> Option<u16> {
        match self {
            Self::Smtp(error) => error.status().map(u16::from),
            _ => None,
        }
    }

    /// The server ends the session (RFC 5321, section 4.2.2: 421 may come at any command), or has ended it without a word.
    pub(crate) fn ends_session(&self) -> bool {
        match self {
            Self::Timeout(_) | Self::Io(_) => true,
            Self::Smtp(_) => matches!(self.reply(), None | Some(421)),
            Self::Unexpected(_) | Self::NoSmtpUtf8 => false,
        }
    }
}

pub(crate) struct Session {
    connection: AsyncSmtpConnection,
    timeouts: Timeouts,
}

impl Session {
    /// Connects, greets, and logs in if there are credentials.
    pub(crate) async fn open(server: &Server, timeouts: Timeouts) -> Result<Self, StepError> {
        let mut connection = match &server.tls {
            Some(tls) => encrypted(server, tls, timeouts).await?,
            None => in_the_clear(server, timeouts).await?,
        };
        if let Some(credentials) = &server.credentials {
            within(timeouts.command, connection.auth(DEFAULT_MECHANISMS, credentials)).await?;
        }
        Ok(Self { connection, timeouts })
    }

    pub(crate) async fn mail(&mut self, letter: &Letter) -> Result<(), StepError> {
        let mut parameters = Vec::new();
        if letter.needs_smtp_utf8() {
            if !self.connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                return Err(StepError::NoSmtpUtf8);
            }
            parameters.push(MailParameter::SmtpUtfEight);
            // Its headers are not ASCII. Whoever announces SMTPUTF8 takes that too (RFC 6531, section 3.1).
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        let reply = self.command(Mail::new(Some(letter.from.clone()), parameters)).await?;
        completed(&reply)
    }

    pub(crate) async fn rcpt(&mut self, letter: &Letter) -> Result<(), StepError> {
        let reply = self.command(Rcpt::new(letter.to.clone(), Vec::new())).await?;
        completed(&reply)
    }

    pub(crate) async fn data(&mut self) -> Result<(), StepError> {
        let reply = self.command(Data).await?;
        // Any other reply, even a positive one, does not ask for the content.
        if reply.has_code(354) { Ok(()) } else { Err(StepError::Unexpected(reply.code().into())) }
    }

    /// Writes the content and the final dot, and waits for the reply that makes the server responsible.
    pub(crate) async fn content(&mut self, letter: &Letter) -> Result<(), StepError> {
        let reply = within(self.timeouts.command, self.connection.message(&letter.content)).await?;
        completed(&reply)
    }

    /// Takes leave. Nothing depends on the answer.
    pub(crate) async fn quit(mut self) {
        let _ = self.command(Quit).await;
    }

    async fn command(&mut self, command: impl Display) -> Result<Response, StepError> {
        within(self.timeouts.command, self.connection.command(command)).await
    }
}

async fn in_the_clear(server: &Server, timeouts: Timeouts) -> Result<AsyncSmtpConnection, StepError> {
    let stream = within(timeouts.connect, TcpStream::connect((server.host.as_str(), server.port))).await?;
    // The final dot is a small write after the content: without this it would wait for the peer's delayed ACK.
    stream.set_nodelay(true)?;
    let stream: Box<dyn AsyncTokioStream> =
        if fail::has_failpoints() { Box::new(FinalDot::new(stream)) } else { Box::new(stream) };
    let hello = ClientId::default();
    within(timeouts.command, AsyncSmtpConnection::connect_with_transport(stream, &hello)).await
}

#[cfg(feature = "tls")]
async fn encrypted(server: &Server, tls: &Tls, timeouts: Timeouts) -> Result<AsyncSmtpConnection, StepError> {
    let (address, hello) = ((server.host.as_str(), server.port), ClientId::default());
    let greeting = AsyncSmtpConnection::connect_tokio1(address, None, &hello, Some(tls.clone()), None);
    within(timeouts.connect + timeouts.command, greeting).await
}

#[cfg(not(feature = "tls"))]
#[allow(clippy::unused_async, reason = "like the one above")]
async fn encrypted(_: &Server, tls: &Tls, _: Timeouts) -> Result<AsyncSmtpConnection, StepError> {
    match *tls {}
}

/// lettre lets 3yz pass as positive, but only 2yz means done.
fn completed(reply: &Response) -> Result<(), StepError> {
    match reply.code().severity {
        Severity::PositiveCompletion => Ok(()),
        _ => Err(StepError::Unexpected(reply.code().into())),
    }
}

async fn within<T, E>(limit: Duration, step: impl Future<Output = Result<T, E>>) -> Result<T, StepError>
where
    StepError: From<E>,
{
    match timeout(limit, step).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(StepError::Timeout(limit)),
    }
}
