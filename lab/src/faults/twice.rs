//! Every message twice: reads the topics from their end and publishes each message again as it is, to its own partition.

use std::time::Duration;

use anyhow::Context as _;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::{Header, Headers as _, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use tokio::time::{Instant, timeout_at};

use super::arena::Arena;
use crate::running::Brokers;
use crate::styles::Style;

/// Marks what torture publishes, so that it does not double its own.
pub(super) const MARK: &str = "torture";
/// How long the broker may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Doubles what is said in the time it `lasts`. A broker that is away for all of it is no news.
pub(super) async fn everything(arena: &Arena, lasts: Duration) -> anyhow::Result<String> {
    let until = Instant::now() + lasts;
    let brokers = arena.brokers.clone().context("a style with messages has brokers")?;
    let style = arena.style;
    let (reader, producer) = (consumer(&brokers)?, producer(&brokers)?);
    let reader =
        tokio::task::spawn_blocking(move || go_to_the_ends(&reader, &brokers, style).map(|()| reader));
    let Ok(reader) = reader.await? else { return Ok(": the broker was away".to_owned()) };
    let mut doubled = 0;
    while let Ok(message) = timeout_at(until, reader.recv()).await {
        // What cannot be read now is read when the broker is back.
        let Ok(message) = message.map(|message| message.detach()) else { continue };
        if mark(&message).is_none() && repeat(&producer, &message) {
            doubled += 1;
        }
    }
    let flushed = tokio::task::spawn_blocking(move || {
        let flushed = producer.flush(ANSWER_MAX);
        drop(reader);
        flushed
    });
    // What the broker did not take was not doubled.
    let rest = if flushed.await?.is_ok() { "" } else { ", some are lost" };
    Ok(format!(": {doubled} messages{rest}"))
}

fn repeat(producer: &FutureProducer, message: &OwnedMessage) -> bool {
    let headers = message.headers().cloned().unwrap_or_else(OwnedHeaders::new);
    let headers = headers.insert(Header { key: MARK, value: Some("twice") });
    let mut record: FutureRecord<'_, [u8], [u8]> =
        FutureRecord::to(message.topic()).partition(message.partition()).headers(headers);
    (record.key, record.payload) = (message.key(), message.payload());
    producer.send_result(record).is_ok()
}

/// Why torture published `message`, if it did.
fn mark(message: &OwnedMessage) -> Option<Header<'_, &[u8]>> {
    message.headers()?.iter().find(|header| header.key == MARK)
}

fn go_to_the_ends(reader: &StreamConsumer, brokers: &Brokers, style: &Style) -> anyhow::Result<()> {
    let (settings, topology) = (brokers.settings(), (style.topology)());
    let mut list = TopicPartitionList::new();
    for topic in topology.kept.iter().chain(&topology.passing) {
        let topic = settings.topic(topic);
        for partition in 0..settings.kafka_partitions {
            let (_, end) = reader.fetch_watermarks(&topic, partition, ANSWER_MAX)?;
            list.add_partition_offset(&topic, partition, Offset::Offset(end))?;
        }
    }
    Ok(reader.assign(&list)?)
}

/// A reader that belongs to no group.
pub(super) fn consumer(brokers: &Brokers) -> anyhow::Result<StreamConsumer> {
    let mut config = client(brokers);
    config.set("group.id", "torture").set("enable.auto.commit", "false").set("fetch.wait.max.ms", "10");
    config.create().context("a Kafka client")
}

/// A producer that gives up before anybody waits for it.
pub(super) fn producer(brokers: &Brokers) -> anyhow::Result<FutureProducer> {
    let mut config = client(brokers);
    config.set("enable.idempotence", "true").set("delivery.timeout.ms", "30000");
    config.create().context("a Kafka client")
}

fn client(brokers: &Brokers) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &brokers.servers)
        .set("reconnect.backoff.max.ms", "500")
        // While the broker is away, and it often is, it would say so many times a second.
        .set_log_level(rdkafka::config::RDKafkaLogLevel::Critical);
    config
}
