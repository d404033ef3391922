//! Kafka as it is: messages of any form, sent and read without the help of the crate under test.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::Utc;
use messaging::Metadata;
use rdkafka::consumer::{BaseConsumer, Consumer as _, StreamConsumer};
use rdkafka::message::{Headers as _, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::{ClientConfig, Message as _};
use tokio::time::timeout;
use uuid::Uuid;

use crate::notebook::Noted;
use crate::world::{DEADLINE, World};

/// What is sent.
#[derive(Clone, Debug, Default)]
pub struct Raw {
    pub key: Option<Vec<u8>>,
    pub headers: Option<OwnedHeaders>,
    pub body: Option<Vec<u8>>,
}

impl Raw {
    /// A message of type `kind`.
    pub fn of(kind: &str, key: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            key: Some(key.as_bytes().to_vec()),
            headers: Some(envelope(kind).to_headers()),
            body: Some(body.into()),
        }
    }

    /// A note as it should be.
    pub fn note(key: &str, number: i64) -> Self {
        let body = serde_json::to_vec(&Noted { key: key.to_owned(), number }).unwrap();
        Self::of("Noted", key, body)
    }

    /// The same with the headers of `metadata`.
    pub fn with(mut self, metadata: &Metadata) -> Self {
        self.headers = Some(metadata.to_headers());
        self
    }
}

pub fn envelope(kind: &str) -> Metadata {
    Metadata {
        id: Uuid::now_v7().to_string(),
        source: "/test".to_owned(),
        kind: kind.to_owned(),
        time: Some(Utc::now()),
        subject: None,
        correlation_id: Uuid::now_v7(),
        causation_id: None,
        aggregate_version: None,
        reply_to: None,
        traceparent: None,
    }
}

impl World {
    pub fn wire(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.kafka.brokers())
            .set("reconnect.backoff.max.ms", "500")
            .set("linger.ms", "0")
            .set("partitioner", "murmur2_random")
            .set("log_level", "2");
        config
    }

    /// Sends `messages` to `topic`, one behind the other.
    pub async fn send(&self, topic: &str, partition: Option<i32>, messages: Vec<Raw>) {
        let mut config = self.wire();
        config.set("enable.idempotence", "true").set("message.max.bytes", "1048000");
        let producer: FutureProducer = config.create().unwrap();
        let topic = self.settings.topic(topic);
        let mut sent = Vec::new();
        for Raw { key, headers, body } in messages {
            let mut record: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(&topic);
            record.key = key.as_deref();
            record.payload = body.as_deref();
            record.headers = headers;
            record.partition = partition;
            sent.push(producer.send_result(record).map_err(|(error, _)| error).unwrap());
        }
        for delivery in sent {
            timeout(DEADLINE, delivery).await.unwrap().unwrap().map_err(|(error, _)| error).unwrap();
        }
    }

    /// A reader of `topic` (its whole name) that has its partitions, and where they end; reads from their beginning, or from
    /// their end.
    pub async fn reader(&self, topic: &str, from_end: bool) -> (StreamConsumer, HashMap<i32, i64>) {
        let (mut config, topic) = (self.wire(), topic.to_owned());
        config
            .set("group.id", format!("{topic}-test"))
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", self.settings.kafka_fetch_wait_ms.to_string());
        let start = tokio::task::spawn_blocking(move || {
            let reader: StreamConsumer = config.create().unwrap();
            let wait = Duration::from_secs(20);
            let metadata = reader.fetch_metadata(Some(&topic), wait).unwrap();
            let (mut ends, mut list) = (HashMap::new(), TopicPartitionList::new());
            for partition in metadata.topics()[0].partitions() {
                let (low, high) = extent(&reader, &topic, partition.id());
                let from = if from_end { high } else { low };
                list.add_partition_offset(&topic, partition.id(), Offset::Offset(from)).unwrap();
                if high > from {
                    ends.insert(partition.id(), high);
                }
            }
            reader.assign(&list).unwrap();
            (reader, ends)
        });
        start.await.unwrap()
    }

    /// How many partitions each topic of this world has, by its name without the prefix.
    pub async fn partitions(&self) -> HashMap<String, usize> {
        let (config, prefix) = (self.wire(), self.settings.kafka_prefix.clone());
        let ask = move || {
            let client: BaseConsumer = config.create().unwrap();
            let metadata = client.fetch_metadata(None, Duration::from_secs(20)).unwrap();
            let ours = metadata.topics().iter().filter_map(|topic| {
                Some((topic.name().strip_prefix(&prefix)?.to_owned(), topic.partitions().len()))
            });
            ours.collect()
        };
        tokio::task::spawn_blocking(ask).await.unwrap()
    }

    /// Everything in `topic` (its whole name), in order per partition.
    pub async fn everything_in(&self, topic: &str) -> Vec<OwnedMessage> {
        let (reader, mut open) = self.reader(topic, false).await;
        let mut messages = Vec::new();
        while !open.is_empty() {
            let Ok(message) = timeout(DEADLINE, reader.recv()).await.expect("the topic ends") else {
                continue;
            };
            if open.get(&message.partition()).is_some_and(|end| message.offset() + 1 >= *end) {
                open.remove(&message.partition());
            }
            messages.push(message.detach());
        }
        close(reader).await;
        messages
    }

    /// How many messages were ever sent to `topic`.
    pub async fn count_in(&self, topic: &str) -> i64 {
        let (reader, ends) = self.reader(&self.settings.topic(topic), false).await;
        close(reader).await;
        ends.values().sum()
    }
}

/// How far a partition reaches. One that has just been created needs a moment until its leader serves it. Blocks.
fn extent(reader: &StreamConsumer, topic: &str, partition: i32) -> (i64, i64) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match reader.fetch_watermarks(topic, partition, Duration::from_secs(20)) {
            Ok(extent) => return extent,
            Err(error) => assert!(Instant::now() < deadline, "{topic}/{partition}: {error}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Ends a reader off the runtime's threads: it blocks.
pub async fn close(reader: StreamConsumer) {
    tokio::task::spawn_blocking(move || drop(reader)).await.unwrap();
}

/// The notes among `messages`.
pub fn notes(messages: &[OwnedMessage]) -> Vec<Noted> {
    messages.iter().map(|message| serde_json::from_slice(message.payload().unwrap()).unwrap()).collect()
}

/// The text of a header.
pub fn header(message: &OwnedMessage, name: &str) -> Option<String> {
    let headers = message.headers()?;
    let found = headers.iter().find(|header| header.key == name)?;
    Some(String::from_utf8_lossy(found.value?).into_owned())
}
