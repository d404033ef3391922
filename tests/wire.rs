//! A hand on the wire: reads and publishes raw messages beside the services.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use lab::running::Brokers;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, Headers as _, OwnedHeaders, OwnedMessage};
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use uuid::Uuid;

use crate::harness::Stage;

const ANSWER_MAX: Duration = Duration::from_secs(10);

/// A deployment's topics.
pub struct Wire {
    brokers: Brokers,
    producer: FutureProducer,
}

/// Where a message lies: topic (its whole name), partition, offset.
pub type Place = (String, i32, i64);

impl Wire {
    /// The wire of a stage whose style has messages.
    pub fn of(stage: &Stage) -> anyhow::Result<Self> {
        let brokers = stage.deployment.addresses.kafka.clone().context("the style has no messages")?;
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &brokers.servers).set("partitioner", "murmur2_random");
        Ok(Self { producer: config.create()?, brokers })
    }

    /// The whole name of a topic.
    pub fn topic(&self, bare: &str) -> String {
        format!("{}{bare}", self.brokers.prefix)
    }

    /// Publishes a message; says where it lies.
    pub async fn publish(
        &self,
        topic: &str,
        key: &[u8],
        headers: OwnedHeaders,
        payload: &[u8],
    ) -> anyhow::Result<Place> {
        let topic = self.topic(topic);
        let record = FutureRecord::to(&topic).key(key).payload(payload).headers(headers);
        let delivery = self.producer.send(record, ANSWER_MAX).await.map_err(|(error, _)| error)?;
        Ok((topic, delivery.partition, delivery.offset))
    }

    /// Publishes a message as it came, under its own id or another.
    pub async fn publish_again(&self, message: &OwnedMessage, id: Option<Uuid>) -> anyhow::Result<Place> {
        let headers = message.headers().context("a message has headers")?;
        let headers = match id {
            None => headers.clone(),
            Some(id) => replace_header(headers, "ce_id", Some(&id.to_string())),
        };
        let bare = message.topic().strip_prefix(&self.brokers.prefix).context("a topic of the deployment")?;
        let (key, payload) = (message.key().unwrap_or_default(), message.payload().unwrap_or_default());
        self.publish(bare, key, headers, payload).await
    }

    /// Everything that is on a topic now, partition by partition.
    pub async fn read(&self, topic: &str) -> anyhow::Result<Vec<OwnedMessage>> {
        let (topic, servers) = (self.topic(topic), self.brokers.servers.clone());
        // librdkafka's questions block.
        tokio::task::spawn_blocking(move || read(&servers, &topic)).await?
    }
}

fn read(servers: &str, topic: &str) -> anyhow::Result<Vec<OwnedMessage>> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers).set("group.id", "wire").set("enable.auto.commit", "false");
    let reader: BaseConsumer = config.set("fetch.wait.max.ms", "10").create()?;
    let metadata = reader.fetch_metadata(Some(topic), ANSWER_MAX)?;
    let partitions: Vec<_> = metadata.topics().iter().flat_map(MetadataTopic::partitions).collect();
    ensure!(!partitions.is_empty(), "the broker knows no partition of {topic}");
    let mut messages = Vec::new();
    for partition in partitions {
        let (low, high) = reader.fetch_watermarks(topic, partition.id(), ANSWER_MAX)?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition.id(), Offset::Offset(low))?;
        reader.assign(&list)?;
        let mut next = low;
        while next < high {
            let message = reader.poll(ANSWER_MAX).context("the topic is silent")??;
            next = message.offset() + 1;
            messages.push(message.detach());
        }
    }
    Ok(messages)
}

/// The text of a header.
pub fn header(message: &OwnedMessage, name: &str) -> Option<String> {
    let value = message.headers()?.iter().find(|header| header.key == name)?.value?;
    String::from_utf8(value.to_vec()).ok()
}

/// `headers` with another value for one of them, or without it.
pub fn replace_header(headers: &OwnedHeaders, name: &str, value: Option<&str>) -> OwnedHeaders {
    let others = headers.iter().filter(|header| header.key != name);
    let others = others.fold(OwnedHeaders::new(), |all, header| all.insert(header));
    match value {
        Some(value) => others.insert(Header { key: name, value: Some(value) }),
        None => others,
    }
}

/// An envelope as the gateway would make one.
pub fn envelope(kind: &str, correlation_id: Uuid) -> OwnedHeaders {
    let (id, correlation_id) = (Uuid::now_v7().to_string(), correlation_id.to_string());
    [
        ("content-type", "application/json"),
        ("ce_specversion", "1.0"),
        ("ce_id", &id),
        ("ce_source", "/gateway"),
        ("ce_type", kind),
        ("ce_time", "2026-01-02T03:04:05Z"),
        ("ce_correlationid", &correlation_id),
    ]
    .into_iter()
    .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
}
