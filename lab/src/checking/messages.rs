//! What the broker can tell about the invariants: how far each consumer has come, what was put aside, and whether what was
//! said about a subject was said in order.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use messaging::{KafkaSettings, Topology};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Headers as _};
use rdkafka::metadata::MetadataTopic;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

use super::invariant::{Invariant, Violation};
use crate::driving::{Letter, Poison};
use crate::running::Brokers;
use crate::styles::Style;

/// How long the broker may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// One deployment's messages.
pub(super) struct Messages {
    settings: KafkaSettings,
    topology: Topology,
}

/// Where a partition begins and ends.
struct Extent {
    topic: String,
    partition: i32,
    low: i64,
    high: i64,
}

impl Messages {
    pub(super) fn new(style: &str, brokers: &Brokers) -> anyhow::Result<Self> {
        let style = Style::find(style).with_context(|| format!("there is no style {style}"))?;
        Ok(Self { settings: brokers.settings(), topology: (style.topology)() })
    }

    /// Everything that is wrong. Blocks.
    ///
    /// With clients of its own: what connections of an earlier look went through does not matter.
    pub(super) fn violations(&self, poison: &Poison) -> anyhow::Result<Vec<Violation>> {
        let mut violations = Vec::new();
        for (consumer, topics) in &self.topology.consumers {
            // It asks in the name of the group, and never joins it.
            violations.extend(self.lag(consumer, topics, &client(&self.settings, consumer)?)?);
        }
        let reader = client(&self.settings, "auditor")?;
        let mut missing = poison.clone();
        missing.retain(|_, letter| *letter == Letter::Expected);
        for topic in self.topology.dead_letters(&self.settings) {
            violations.extend(dead_letters(&reader, &topic, poison, &mut missing)?);
        }
        violations.extend(missing.into_keys().map(|place| Violation {
            invariant: Invariant::NothingLeft,
            what: format!("what can never be handled was not put aside: {place:?}"),
        }));
        // The longest look comes last, and only at what is at rest.
        if violations.is_empty() {
            for topic in self.topology.kept.iter().chain(&self.topology.passing) {
                violations.extend(out_of_order(&reader, &self.settings.topic(topic))?);
            }
        }
        Ok(violations)
    }

    /// Messages that a consumer has not finished with, by the offsets that it committed.
    fn lag(&self, consumer: &str, topics: &[&str], client: &BaseConsumer) -> anyhow::Result<Vec<Violation>> {
        let mut violations = Vec::new();
        for topic in topics {
            let extents = extents(client, &self.settings.topic(topic))?;
            let mut partitions = TopicPartitionList::new();
            for extent in &extents {
                partitions.add_partition(&extent.topic, extent.partition);
            }
            let committed = client.committed_offsets(partitions, ANSWER_MAX).context("asking for offsets")?;
            for Extent { topic, partition, low, high } in extents {
                let found = committed.find_partition(&topic, partition).map(|found| found.offset());
                let next = if let Some(Offset::Offset(next)) = found { next } else { low };
                if next < high {
                    let what = format!("{consumer} is at {next} of {high} in {topic}/{partition}");
                    violations.push(Violation { invariant: Invariant::NothingLeft, what });
                }
            }
        }
        Ok(violations)
    }
}

/// Dead letters that nobody sent on purpose. Strikes those that are there off `missing`.
fn dead_letters(
    reader: &BaseConsumer,
    topic: &str,
    poison: &Poison,
    missing: &mut Poison,
) -> anyhow::Result<Vec<Violation>> {
    let mut violations = Vec::new();
    read(reader, topic, |message| {
        let header = |name| header(message, name).unwrap_or_default();
        let place = (
            header("dead_letter_topic"),
            header("dead_letter_partition").parse().unwrap_or(-1),
            header("dead_letter_offset").parse().unwrap_or(-1),
        );
        missing.remove(&place);
        if !poison.contains_key(&place) {
            let what = format!("dead letter in {topic} from {place:?}: {}", header("dead_letter_error"));
            violations.push(Violation { invariant: Invariant::NothingLeft, what });
        }
    })?;
    Ok(violations)
}

/// Versions that were said after a later one of the same subject, other than in a repeat; and versions of which two things were
/// said.
fn out_of_order(reader: &BaseConsumer, topic: &str) -> anyhow::Result<Vec<Violation>> {
    let mut said: BTreeMap<String, BTreeMap<(i64, String), Vec<u8>>> = BTreeMap::new();
    let mut violations = Vec::new();
    read(reader, topic, |message| {
        let version = header(message, "ce_aggregateversion").and_then(|version| version.parse().ok());
        let (Some(version), Some(subject)) = (version, header(message, "ce_subject")) else { return };
        let kind = header(message, "ce_type").unwrap_or_default();
        let known = said.entry(subject.clone()).or_default();
        let newest = known.last_key_value().map_or(0, |((version, _), _)| *version);
        let body = message.payload().unwrap_or_default();
        let before = known.entry((version, kind.clone()));
        let what = match before {
            Entry::Vacant(first) => {
                first.insert(body.to_owned());
                (version < newest).then(|| format!("tells version {version} after {newest}"))
            }
            Entry::Occupied(before) => {
                (before.get() != body).then(|| format!("tells version {version} in two ways"))
            }
        };
        violations.extend(what.map(|what| Violation {
            invariant: Invariant::Replicas,
            what: format!("{topic}: {kind} of {subject} {what}"),
        }));
    })?;
    Ok(violations)
}

/// A client in the name of `consumer`'s group.
fn client(settings: &KafkaSettings, consumer: &str) -> anyhow::Result<BaseConsumer> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &settings.kafka_brokers)
        .set("group.id", settings.group(consumer))
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "10")
        .set("reconnect.backoff.max.ms", "500");
    config.create().context("a Kafka client")
}

/// Reads a topic from its beginning to where it ends now, partition by partition.
fn read(reader: &BaseConsumer, topic: &str, mut on: impl FnMut(&BorrowedMessage<'_>)) -> anyhow::Result<()> {
    for Extent { topic, partition, low, high } in extents(reader, topic)? {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic, partition, Offset::Offset(low))?;
        reader.assign(&list)?;
        let (mut next, mut heard) = (low, Instant::now());
        while next < high {
            let message =
                reader.poll(ANSWER_MAX).with_context(|| format!("{topic}/{partition} is silent"))?;
            match message {
                Ok(message) => {
                    on(&message);
                    (next, heard) = (message.offset() + 1, Instant::now());
                }
                // News of a broker that was away: it is told late, and the client goes on by itself.
                Err(_) if heard.elapsed() < ANSWER_MAX => {}
                Err(error) => return Err(error).with_context(|| format!("reading {topic}/{partition}")),
            }
        }
    }
    Ok(reader.unassign()?)
}

fn extents(client: &BaseConsumer, topic: &str) -> anyhow::Result<Vec<Extent>> {
    let metadata = client.fetch_metadata(Some(topic), ANSWER_MAX).context("asking for partitions")?;
    let partitions: Vec<_> = metadata.topics().iter().flat_map(MetadataTopic::partitions).collect();
    // A broker that has just come back does not know its topics yet. Of no partition nothing wrong could be said.
    ensure!(!partitions.is_empty(), "the broker knows no partition of {topic}");
    partitions
        .into_iter()
        .map(|partition| {
            let (low, high) = client.fetch_watermarks(topic, partition.id(), ANSWER_MAX)?;
            Ok(Extent { topic: topic.to_owned(), partition: partition.id(), low, high })
        })
        .collect()
}

fn header(message: &BorrowedMessage<'_>, name: &str) -> Option<String> {
    let value = message.headers()?.iter().find(|header| header.key == name)?.value?;
    String::from_utf8(value.to_vec()).ok()
}
