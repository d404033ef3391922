//! Messages that can never be handled: one that was really said, spoiled. The checker is told where it is.

use std::time::Duration;

use anyhow::Context as _;
use fastrand::Rng;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::{Header, Headers as _, OwnedHeaders, OwnedMessage};
use rdkafka::producer::FutureRecord;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use tokio::time::timeout;

use super::arena::Arena;
use super::twice::{MARK, consumer, producer};
use crate::driving::Letter;

/// How long the broker may take to give or take one.
const ANSWER_MAX: Duration = Duration::from_secs(5);
const TAKEN_MAX: Duration = Duration::from_secs(40);

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoiling {
    /// The body ends in the middle.
    Truncated,
    /// The body is not even text.
    Malformed,
    /// The envelope does not say what it is.
    Typeless,
    /// The envelope has an empty id: any other text is one.
    BadId,
    /// A JSON object without any of the members.
    WrongSchema,
}

impl Spoiling {
    pub(super) fn draw(dice: &mut Rng) -> Self {
        [Self::Truncated, Self::Malformed, Self::Typeless, Self::BadId, Self::WrongSchema][dice.usize(..5)]
    }

    fn headers(self, real: &OwnedMessage) -> OwnedHeaders {
        let mark = Header { key: MARK, value: Some("poison".as_bytes()) };
        let mut headers = OwnedHeaders::new().insert(mark);
        for Header { key, value } in real.headers().into_iter().flat_map(|headers| headers.iter()) {
            let value = match (self, key) {
                (Self::BadId, "ce_id") => Some("".as_bytes()),
                // A version that is told again by a message nobody can read is not told.
                (_, "ce_aggregateversion" | MARK) | (Self::Typeless, "ce_type") => continue,
                _ => value,
            };
            headers = headers.insert(Header { key, value });
        }
        headers
    }

    fn body(self, real: &OwnedMessage) -> Vec<u8> {
        let body = real.payload().unwrap_or_default();
        match self {
            Self::Truncated => body[..body.len() / 2].to_owned(),
            Self::Malformed => vec![0xff, 0xfe, b'?'],
            Self::WrongSchema => b"{}".to_vec(),
            Self::Typeless | Self::BadId => body.to_owned(),
        }
    }
}

/// Puts one on a topic and a partition of the style, counted round and round.
pub(super) async fn put(
    arena: &Arena,
    topic: usize,
    partition: i32,
    spoiling: Spoiling,
) -> anyhow::Result<String> {
    let brokers = arena.brokers.as_ref().context("a style with messages has brokers")?;
    let (settings, topology) = (brokers.settings(), (arena.style.topology)());
    let topics = [topology.kept, topology.passing].concat();
    let topic = settings.topic(topics[topic % topics.len()]);
    let partition = partition % settings.kafka_partitions;
    let real = match newest(consumer(brokers)?, &topic, partition).await {
        Ok(Some(real)) => real,
        Ok(None) => return Ok(format!(": {topic}/{partition} is empty")),
        // Nothing was done yet, and the broker may just have come back.
        Err(error) => return Ok(format!(": {error:#}")),
    };
    let (headers, body) = (spoiling.headers(&real), spoiling.body(&real));
    let mut record: FutureRecord<'_, [u8], [u8]> =
        FutureRecord::to(&topic).partition(partition).headers(headers).payload(&body);
    record.key = real.key();
    let taken = producer(brokers)?.send(record, TAKEN_MAX).await.map_err(|(error, _)| error);
    let place = taken.context("the broker does not take poison")?;
    // Who cannot tell what it is puts it aside; of what can be told, only those whom it concerns do.
    let letter = if spoiling == Spoiling::Typeless { Letter::Expected } else { Letter::Possible };
    arena.api.expect_dead_letter(&topic, place.partition, place.offset, letter);
    Ok(format!(" at {topic}/{}/{}", place.partition, place.offset))
}

/// The last message of a partition.
async fn newest(reader: StreamConsumer, topic: &str, partition: i32) -> anyhow::Result<Option<OwnedMessage>> {
    let name = topic.to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        let (low, end) = reader.fetch_watermarks(&name, partition, ANSWER_MAX)?;
        if low == end {
            return Ok(None);
        }
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&name, partition, Offset::Offset(end - 1))?;
        reader.assign(&list)?;
        anyhow::Ok(Some(reader))
    });
    let Some(reader) = asked.await?.context("looking for a message to spoil")? else { return Ok(None) };
    let message = timeout(ANSWER_MAX, reader.recv()).await.context("a message to spoil does not come")?;
    Ok(Some(message.context("reading a message to spoil")?.detach()))
}
