//! Sends queued emails over SMTP, so that each is sent at least once and is recognisable when sent twice.
//!
//! What it promises: an email leaves the queue once the server has answered for it, or as `failed` when it never will be
//! sent (refused for good, or put off for more than a day); never because of a crash. What SMTP cannot promise: when the
//! connection breaks between `DATA` and the reply to the final dot, nobody can know whether the server took the email
//! ([RFC 1047]). It is then sent again under the **same** Message-ID, by which a receiver can tell the copy, and counted in
//! `email_deliveries_unknown_total`.
//!
//! A server that is away, greets with 421 or breaks sessions off is no email's trouble but the senders'. All of them pause, 0.5 s at
//! first and then up to a minute, and one asks for all. An email counts an attempt only where one of its own commands was
//! answered, or should have been ([`About`]).
//!
//! An international domain goes over the wire as A-labels. A sender or recipient whose local part is not ASCII is sent with
//! SMTPUTF8 (RFC 6531), and an email with one is `failed` at once where the server does not announce it.
//!
//! | metric | meaning |
//! |---|---|
//! | `emails_total{outcome}` | recorded attempts: `sent`, `failed`, `retried` |
//! | `email_deliveries_unknown_total` | attempts after which a copy may exist |
//! | `email_send_duration_seconds` | one attempt, connecting included |
//! | `email_server_trouble` | 1 while the server takes no emails and the senders wait for it, else 0 |
//!
//! Reading order: [`Queue`], [`Mailer`], [`run`].
//!
//! [RFC 1047]: https://www.rfc-editor.org/rfc/rfc1047

mod address;
mod delivery;
mod final_dot;
mod letter;
mod outage;
mod queue;
mod server;
mod session;
mod settings;
mod smtp;
mod trace;
mod worker;

pub use delivery::{About, Delivery};
pub use queue::{Queue, QueuedEmail, Verdict};
pub use server::ConfigError;
pub use session::Timeouts;
pub use settings::{MailSettings, Settings};
pub use smtp::Mailer;
pub use trace::traceparent;
pub use worker::{DeliverError, deliver_due, run};
