//! What a service brings along: what it does with the messages that come.

use std::future::{self, Future};

use sqlx::postgres::PgConnection;

use crate::event::{Cause, Event};
use crate::message::Incoming;
use crate::outbox::Said;

/// What a service does with the messages it consumes.
pub trait Handler: Send + Sync + 'static {
    /// The messages.
    type Incoming: Incoming;
    /// What has to be found out before a message can be handled; `()` where everything is in the message.
    type Fact: Default + Send + Sync;
    /// Why handling failed.
    type Error: HandlerError;

    /// Whether messages that come again are to be kept from [`Self::handle`]. A handler that can do without says why.
    const INBOX: bool = true;

    /// Finds out what [`Self::handle`] needs: outside of any transaction, since others are asked. Nobody is, where everything is
    /// in the message.
    fn gather(
        &self,
        event: &Event<Self::Incoming>,
    ) -> impl Future<Output = Result<Self::Fact, Self::Error>> + Send {
        let _ = event;
        future::ready(Ok(Self::Fact::default()))
    }

    /// Has the effects of a batch of messages, in `tx`, and says what is to be said about them.
    ///
    /// The messages of one partition are in their order. Where one of them cannot be handled, all are handed over again one by
    /// one, each in a transaction of its own.
    fn handle(
        &self,
        tx: &mut PgConnection,
        batch: &[&Known<Self::Incoming, Self::Fact>],
        said: &mut Said,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// The effects of a batch are committed.
    fn committed(&self) {}
}

/// A message that is to be handled, with what had to be found out about it.
pub struct Known<M, F> {
    /// What it says, with its envelope.
    pub event: Event<M>,
    /// What [`Handler::gather`] found.
    pub fact: F,
    /// For what is said about it.
    pub cause: Cause,
}

/// Why a handler failed, and what to do about it.
pub trait HandlerError: std::error::Error + From<sqlx::Error> + Send + Sync + 'static {
    /// Whether the same message may be handled later. Otherwise it is a dead letter.
    fn is_transient(&self) -> bool;
}
