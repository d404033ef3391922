//! Publishing without a table in between: for those that keep no state, the gateways.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use futures_util::future::BoxFuture;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::client::Context;
use crate::envelope::Metadata;
use crate::event::Cause;
use crate::message::Outgoing;
use crate::renewed::RenewedProducer;
use crate::settings::KafkaSettings;
use crate::trace;

/// How long Kafka may take to acknowledge a message ...
const ACKNOWLEDGED_MAX: Duration = Duration::from_secs(2);
/// ... and what it gets of that however soon the answer is wanted.
const ACKNOWLEDGED_MIN: Duration = Duration::from_millis(500);

/// Publishes messages and says when Kafka has them.
#[derive(Clone)]
pub struct Producer {
    source: &'static str,
    settings: KafkaSettings,
    kafka: Arc<RenewedProducer>,
}

/// Kafka has not acknowledged a message in time. It may have it all the same.
#[derive(Debug, thiserror::Error)]
#[error("{kind} is not acknowledged by Kafka")]
pub struct NotAcknowledged {
    kind: &'static str,
    #[source]
    cause: KafkaError,
}

impl Producer {
    /// A producer that gives a message 2 s to be acknowledged. `source` names the service.
    ///
    /// # Errors
    /// When a setting is wrong.
    pub fn new(source: &'static str, settings: &KafkaSettings) -> Result<Self, KafkaError> {
        let kafka = RenewedProducer::new(settings.producer(Some(ACKNOWLEDGED_MAX)))?;
        Ok(Self { source, settings: settings.clone(), kafka: Arc::new(kafka) })
    }

    /// Publishes `message` and waits for the acknowledgement, until `by`; says under which id it went.
    ///
    /// # Errors
    /// When there is none in time: whether Kafka has the message is unknown.
    pub fn publish<'a>(
        &'a self,
        message: Outgoing,
        cause: &'a Cause,
        by: Instant,
    ) -> BoxFuture<'a, Result<String, NotAcknowledged>> {
        Box::pin(self.publish_by(message, cause, by))
    }

    async fn publish_by(
        &self,
        message: Outgoing,
        cause: &Cause,
        by: Instant,
    ) -> Result<String, NotAcknowledged> {
        let metadata = Metadata {
            id: Uuid::now_v7().to_string(),
            source: format!("/{}", self.source),
            kind: message.kind.to_owned(),
            time: Some(Utc::now()),
            subject: Some(message.subject),
            correlation_id: cause.correlation_id,
            causation_id: cause.causation_id.clone(),
            aggregate_version: message.aggregate_version,
            reply_to: message.reply_to.map(|topic| self.settings.topic(topic)),
            traceparent: cause.traceparent.clone(),
        };
        let topic = self.settings.topic(&message.topic);
        let delivery = self
            .kafka
            .client()
            .and_then(|kafka| send(&kafka, &topic, metadata.clone(), &message.key, &message.payload));
        match delivery {
            Ok(acknowledged) => {
                let by = by.max(Instant::now() + ACKNOWLEDGED_MIN);
                let late = KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut);
                timeout_at(by, acknowledged).await.unwrap_or(Err(late))
            }
            Err(cause) => Err(cause),
        }
        .map(|()| metadata.id)
        .map_err(|cause| NotAcknowledged { kind: message.kind, cause })
    }
}

/// Hands a message over to `kafka`. The future ends with its acknowledgement, and so does the message's span.
///
/// # Errors
/// When librdkafka's queue is full, or the message is larger than allowed.
pub(crate) fn send(
    kafka: &FutureProducer<Context>,
    topic: &str,
    mut metadata: Metadata,
    key: &str,
    payload: &str,
) -> Result<impl Future<Output = Result<(), KafkaError>> + Send + use<>, KafkaError> {
    let span = trace::send_span(&metadata, topic, payload.len());
    metadata.traceparent = trace::traceparent(&span).or(metadata.traceparent);
    let headers = metadata.to_headers();
    let bytes = envelope_bytes(&headers) + key.len() + payload.len();
    span.record("messaging.message.envelope.size", i64::try_from(bytes).unwrap_or(i64::MAX));
    let record = FutureRecord::to(topic).key(key).payload(payload).headers(headers);
    let delivery = span.in_scope(|| kafka.send_result(record)).map_err(|(error, _)| error)?;
    Ok(async move {
        match delivery.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err((error, _))) => Err(error),
            // The producer is gone, and its queue with it.
            Err(_) => Err(KafkaError::Canceled),
        }
    }
    .instrument(span))
}

/// The size of headers, names and values.
fn envelope_bytes(headers: &OwnedHeaders) -> usize {
    use rdkafka::message::Headers as _;
    headers.iter().map(|header| header.key.len() + header.value.map_or(0, <[u8]>::len)).sum()
}
