//! Dead letters: what can never be handled is put aside as it came, with where it was and what is wrong with it, so that
//! somebody can look at it and, once the cause is mended, send it again.

use std::time::Duration;

use anyhow::Context as _;
use rdkafka::Message as _;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};
use rdkafka::producer::FutureRecord;
use rdkafka::types::RDKafkaErrorCode;

use crate::renewed::RenewedProducer;
use crate::settings::KafkaSettings;

/// How long Kafka may take to take one. The consumer waits for it, and tries again if it fails.
pub(crate) const DELIVERY_MAX: Duration = Duration::from_secs(10);
/// What the names of the headers about a dead letter begin with; the others are its own.
pub(crate) const PREFIX: &str = "dead_letter_";
/// The whole name of the topic where it was.
pub(crate) const TOPIC: &str = "dead_letter_topic";
/// How large the body is that was too large to come along.
pub(crate) const BODY_BYTES: &str = "dead_letter_body_bytes";
/// Longest error text, in bytes: it goes into a header.
const ERROR_BYTES_MAX: usize = 1000;

/// The dead letters of one consumer.
pub(crate) struct DeadLetters {
    consumer: &'static str,
    settings: KafkaSettings,
    kafka: RenewedProducer,
}

impl DeadLetters {
    pub(crate) fn new(consumer: &'static str, settings: &KafkaSettings) -> anyhow::Result<Self> {
        let kafka = RenewedProducer::new(settings.producer(Some(DELIVERY_MAX))).context("KAFKA_*")?;
        Ok(Self { consumer, settings: settings.clone(), kafka })
    }

    /// Puts `message` aside, and waits until Kafka has it: only then may its offset be stored. A message that is too large for
    /// that leaves its body where it was, and if need be its key and headers too.
    ///
    /// # Errors
    /// When Kafka does not acknowledge it.
    pub(crate) async fn put_aside(&self, message: &OwnedMessage, error: &str) -> anyhow::Result<()> {
        let bare = message.topic().strip_prefix(&self.settings.kafka_prefix).unwrap_or(message.topic());
        let topic = self.settings.dead_letter_topic(bare, self.consumer);
        let own = message.headers().cloned().unwrap_or_default();
        let bytes = message.payload().map_or(0, <[u8]>::len).to_string();
        let without_body =
            |headers: OwnedHeaders| headers.insert(Header { key: BODY_BYTES, value: Some(&bytes) });

        let whole = about(message, error, own.clone());
        let mut sent = self.send(&topic, message.key(), message.payload(), whole).await;
        // What is said about it was too much, or another setting let it in: it would be in the way for ever.
        if is_too_large(&sent) {
            sent = self.send(&topic, message.key(), None, without_body(about(message, error, own))).await;
        }
        if is_too_large(&sent) {
            let none = OwnedHeaders::new();
            sent = self.send(&topic, None, None, without_body(about(message, error, none))).await;
        }
        sent.with_context(|| format!("{topic} does not take a dead letter"))?;
        metrics::counter!("messaging_dead_letters_total", "consumer" => self.consumer, "topic" => bare.to_owned())
            .increment(1);
        let (partition, offset) = (message.partition(), message.offset());
        tracing::error!(consumer = self.consumer, topic = bare, partition, offset, error, "dead letter");
        Ok(())
    }

    async fn send(
        &self,
        topic: &str,
        key: Option<&[u8]>,
        payload: Option<&[u8]>,
        headers: OwnedHeaders,
    ) -> Result<(), KafkaError> {
        let mut record: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(topic).headers(headers);
        // As it came: no key is not an empty key.
        (record.key, record.payload) = (key, payload);
        self.kafka.client()?.send(record, DELIVERY_MAX).await.map(drop).map_err(|(error, _)| error)
    }
}

fn is_too_large(sent: &Result<(), KafkaError>) -> bool {
    matches!(sent, Err(KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge)))
}

/// Headers, and where the message was and what is wrong with it.
fn about(message: &OwnedMessage, error: &str, headers: OwnedHeaders) -> OwnedHeaders {
    let mut end = error.len().min(ERROR_BYTES_MAX);
    while !error.is_char_boundary(end) {
        end -= 1;
    }
    [
        (TOPIC, message.topic()),
        ("dead_letter_partition", &message.partition().to_string()),
        ("dead_letter_offset", &message.offset().to_string()),
        ("dead_letter_error", &error[..end]),
    ]
    .into_iter()
    .fold(headers, |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
}
