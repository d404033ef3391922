//! Sending dead letters again, once their cause is mended.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;
use rdkafka::Message as _;
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::message::{Headers as _, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::arrived::text_header;
use crate::client::Context;
use crate::dead_letter::{BODY_BYTES, DELIVERY_MAX, PREFIX, TOPIC};
use crate::reading::{Extent, assign, extents};
use crate::settings::KafkaSettings;
use crate::topics::Topology;

/// How long brokers may be silent.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// Which dead letters are to be sent again.
#[derive(Clone, Debug, Args)]
pub struct ReplaySettings {
    /// Where the brokers are.
    #[command(flatten)]
    pub kafka: KafkaSettings,

    /// The topic of the dead letters, `<topic>.<consumer>.dlt`, without `KAFKA_PREFIX`.
    #[arg(long)]
    pub topic: String,
}

/// What became of dead letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Were sent again.
    pub sent: u64,
    /// Left their body where it was, since it was too large; only whoever said it can say it again.
    pub bodiless: u64,
}

/// Sends the dead letters of a topic again, each to where it was, as it came. They stay where they are; how far they were sent is
/// committed, so that running this again sends those that came since. If it dies in between it begins where it began, and the
/// inbox sees to the rest.
///
/// # Errors
/// When no consumer of `topology` has such dead letters, when brokers are away, or do not take a message.
pub async fn replay_dead_letters(settings: &ReplaySettings, topology: &Topology) -> anyhow::Result<Replayed> {
    let ReplaySettings { kafka, topic } = settings;
    let (known, topic) = (topology.dead_letters(kafka), kafka.topic(topic));
    ensure!(known.contains(&topic), "there are no dead letters in {topic}, only in {}", known.join(", "));
    let origins: Vec<String> = topology.topics(kafka).into_iter().map(|topic| topic.name).collect();

    let mut config = kafka.reader(&kafka.group("replay-dead-letters"));
    config.set("auto.offset.reset", "earliest");
    let reader: Arc<StreamConsumer<Context>> =
        Arc::new(config.create_with_context(Context::default()).context("KAFKA_*")?);
    let producer: FutureProducer<Context> =
        kafka.producer(Some(DELIVERY_MAX)).create_with_context(Context::default()).context("KAFKA_*")?;

    let (client, name) = (Arc::clone(&reader), topic.clone());
    let mut open: HashMap<i32, i64> = spawn_blocking(move || not_sent_yet(&client, name)).await??;
    let (mut replayed, mut next) = (Replayed::default(), TopicPartitionList::new());
    while !open.is_empty() {
        let letter =
            timeout(ANSWER_MAX, reader.recv()).await.context("the topic does not come to its end")??;
        let letter = letter.detach();
        if let Some(origin) = origin(&letter, &origins) {
            send_again(&producer, origin, &letter).await?;
            replayed.sent += 1;
        } else {
            replayed.bodiless += 1;
        }
        let after = letter.offset() + 1;
        if open.get(&letter.partition()).is_some_and(|end| after >= *end) {
            open.remove(&letter.partition());
            next.add_partition_offset(&topic, letter.partition(), Offset::Offset(after))?;
        }
    }
    if next.count() > 0 {
        spawn_blocking(move || reader.commit(&next, CommitMode::Sync)).await?.context("committing")?;
    }
    Ok(replayed)
}

/// Assigns what was not sent again yet; says where each partition ends. Blocks.
fn not_sent_yet(reader: &StreamConsumer<Context>, topic: String) -> anyhow::Result<HashMap<i32, i64>> {
    let mut extents = extents(reader, &[topic])?;
    let mut asked = TopicPartitionList::new();
    for extent in &extents {
        asked.add_partition(&extent.topic, extent.partition);
    }
    let committed = reader.committed_offsets(asked, ANSWER_MAX).context("asking how far they were sent")?;
    let from = |extent: &Extent| {
        let committed = committed.find_partition(&extent.topic, extent.partition);
        match committed.map(|partition| partition.offset()) {
            Some(Offset::Offset(next)) => next.max(extent.low),
            _ => extent.low,
        }
    };
    extents.retain(|extent| from(extent) < extent.high);
    assign(reader, &extents, from)?;
    Ok(extents.iter().map(|extent| (extent.partition, extent.high)).collect())
}

/// Where a dead letter was; `None` if it is not whole.
fn origin<'a>(letter: &OwnedMessage, topics: &'a [String]) -> Option<&'a str> {
    let headers = letter.headers()?;
    let topic = text_header(headers, TOPIC).filter(|_| text_header(headers, BODY_BYTES).is_none())?;
    topics.iter().find(|known| *known == topic).map(String::as_str)
}

async fn send_again(
    producer: &FutureProducer<Context>,
    topic: &str,
    letter: &OwnedMessage,
) -> anyhow::Result<()> {
    let own = letter.headers().into_iter().flat_map(|headers| headers.iter());
    let headers = own
        .filter(|header| !header.key.starts_with(PREFIX))
        .fold(OwnedHeaders::new(), |headers, header| headers.insert(header));
    let mut record: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(topic).headers(headers);
    (record.key, record.payload) = (letter.key(), letter.payload());
    let sent = producer.send(record, DELIVERY_MAX).await.map_err(|(error, _)| error);
    sent.with_context(|| format!("{topic} does not take a dead letter back"))?;
    Ok(())
}
