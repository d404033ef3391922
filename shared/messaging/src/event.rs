//! A message that came, and what becomes of it: the cause of what is said next.

use rdkafka::Message as _;
use rdkafka::message::OwnedMessage;
use tokio::time::Instant;
use tracing::Span;
use uuid::Uuid;

use crate::arrived::{Arrived, EnvelopeError};
use crate::envelope::Metadata;
use crate::message::{Decoded, Incoming};
use crate::return_address::ReturnAddress;
use crate::trace;

/// A message that came, with its envelope.
#[derive(Clone, Debug)]
pub struct Event<M> {
    /// The envelope.
    pub metadata: Metadata,
    /// When it came; stays the same however often it is tried again.
    pub received_at: Instant,
    /// What it says.
    pub message: M,
}

/// What makes somebody say something: the envelope of the next message is filled from it.
#[derive(Clone, Debug)]
pub struct Cause {
    /// The request that started it all.
    pub correlation_id: Uuid,
    /// The id of the message, if it is one: a UUID, or what a foreign producer calls it.
    pub causation_id: Option<String>,
    /// The trace that the work belongs to, as a `traceparent` (W3C Trace Context).
    pub traceparent: Option<String>,
    /// Where the reply goes, if it is a command that is answered.
    pub return_address: Option<ReturnAddress>,
}

impl Cause {
    /// A request that is not a message, in the current span.
    pub fn request(correlation_id: Uuid) -> Self {
        let traceparent = trace::traceparent(&Span::current());
        Self { correlation_id, causation_id: None, traceparent, return_address: None }
    }

    /// The message `metadata` is the envelope of, handled in `span`.
    pub(crate) fn message(metadata: &Metadata, span: &Span, return_address: Option<ReturnAddress>) -> Self {
        Self {
            correlation_id: metadata.correlation_id,
            causation_id: Some(metadata.id.clone()),
            traceparent: trace::traceparent(span),
            return_address,
        }
    }
}

/// A message is no message.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    #[error("the body violates the schema of {0}: {1}")]
    Body(String, serde_json::Error),
}

/// The event that a message is; `None` for one that is not for this consumer.
pub(crate) fn read<M: Incoming>(
    raw: &OwnedMessage,
    received_at: Instant,
) -> Result<Option<Event<M>>, Unreadable> {
    let arrived = Arrived::read(raw)?;
    let kind = arrived.required("type")?;
    match M::decode(&kind, &arrived.data()?) {
        Decoded::Message(message) => {
            Ok(Some(Event { metadata: Metadata::read(&arrived)?, received_at, message }))
        }
        Decoded::NotOurs => Ok(None),
        Decoded::Unknown => {
            metrics::counter!("messaging_unknown_types_total", "topic" => raw.topic().to_owned())
                .increment(1);
            tracing::debug!(topic = raw.topic(), %kind, "a message of an unknown type is skipped");
            Ok(None)
        }
        Decoded::Invalid(error) => Err(Unreadable::Body(kind.into_owned(), error)),
    }
}
