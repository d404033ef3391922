//! Reading without a group: partitions assigned by the reader itself, from an end of its choice. Nothing is committed.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rdkafka::Message as _;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedMessage;
use rdkafka::metadata::MetadataPartition;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::time::{Instant, sleep, timeout};

use crate::client::Context;
use crate::event::{Event, read};
use crate::message::Incoming;
use crate::settings::KafkaSettings;

/// How long brokers may take to say what they have.
pub(crate) const ANSWER_MAX: Duration = Duration::from_secs(5);
/// For how long a replay asks again: a broker that has just come back needs seconds until its partitions have leaders.
const PATIENCE: Duration = Duration::from_secs(15);
/// The wait before it does.
const RETRY: Duration = Duration::from_millis(200);

/// A partition, and its first and next offset.
#[derive(Clone, Debug)]
pub struct Extent {
    /// The topic's whole name.
    pub topic: String,
    /// Which partition.
    pub partition: i32,
    /// The oldest offset that is still there.
    pub low: i64,
    /// The offset that the next message gets.
    pub high: i64,
}

/// Asks the brokers how far each partition of `topics` (whole names) reaches. Blocks.
pub(crate) fn extents(kafka: &StreamConsumer<Context>, topics: &[String]) -> anyhow::Result<Vec<Extent>> {
    let mut extents = Vec::new();
    for topic in topics {
        for partition in partitions(kafka, topic)? {
            let (low, high) = kafka
                .fetch_watermarks(topic, partition, ANSWER_MAX)
                .with_context(|| format!("asking how far {topic}/{partition} reaches"))?;
            extents.push(Extent { topic: topic.clone(), partition, low, high });
        }
    }
    Ok(extents)
}

/// Has `kafka` read on in the partitions that were added to `topics` (whole names), from their beginning: somebody has written to
/// them before we knew. Says how many. Blocks.
pub(crate) fn assign_added(kafka: &StreamConsumer<Context>, topics: &[String]) -> anyhow::Result<usize> {
    let assigned = kafka.assignment().context("asking for the assignment")?;
    let mut added = TopicPartitionList::new();
    for topic in topics {
        for partition in partitions(kafka, topic)? {
            if assigned.find_partition(topic, partition).is_none() {
                added.add_partition_offset(topic, partition, Offset::Offset(0))?;
            }
        }
    }
    if added.count() > 0 {
        kafka.incremental_assign(&added).context("assigning new partitions")?;
    }
    Ok(added.count())
}

/// The partitions of `topic` (its whole name), as the brokers know them now. Blocks.
fn partitions(kafka: &StreamConsumer<Context>, topic: &str) -> anyhow::Result<Vec<i32>> {
    let metadata = kafka.fetch_metadata(Some(topic), ANSWER_MAX).context("asking for the partitions")?;
    let found = metadata.topics().first().with_context(|| format!("there is no topic {topic}"))?;
    if let Some(error) = found.error() {
        let error = KafkaError::MetadataFetch(error.into());
        return Err(error).with_context(|| format!("there is no topic {topic} to read"));
    }
    Ok(found.partitions().iter().map(MetadataPartition::id).collect())
}

/// A client that reads `extents` from where `from` says.
pub(crate) fn assign(
    kafka: &StreamConsumer<Context>,
    extents: &[Extent],
    from: impl Fn(&Extent) -> i64,
) -> anyhow::Result<()> {
    let mut list = TopicPartitionList::new();
    for extent in extents {
        list.add_partition_offset(&extent.topic, extent.partition, Offset::Offset(from(extent)))?;
    }
    kafka.assign(&list).context("assigning partitions")
}

impl KafkaSettings {
    /// A client that belongs to no group. Where its offset is not there any more, it goes on from the end `or_from` of the
    /// topic: `earliest` or `latest`.
    pub(crate) fn lone_reader(&self, name: &str, or_from: &str) -> anyhow::Result<StreamConsumer<Context>> {
        let mut config = self.reader(&self.group(name));
        config.set("auto.offset.reset", or_from);
        config.create_with_context(Context::default()).context("KAFKA_*")
    }
}

/// Reads a topic from its beginning, as often as it has grown. What is no message, or none of `M`, is passed over.
pub struct Replay<M> {
    kafka: Arc<StreamConsumer<Context>>,
    topic: String,
    /// The next offset of each partition that was read.
    next: HashMap<i32, i64>,
    messages: PhantomData<M>,
}

impl<M: Incoming> Replay<M> {
    /// A reader that has read nothing.
    ///
    /// # Errors
    /// When a setting is wrong.
    pub fn from_beginning(settings: &KafkaSettings, topic: &str) -> anyhow::Result<Self> {
        let kafka = Arc::new(settings.lone_reader("replay", "earliest")?);
        Ok(Self { kafka, topic: settings.topic(topic), next: HashMap::new(), messages: PhantomData })
    }

    /// Reads on, up to where the topic ends at the time of the call, in order per partition.
    ///
    /// # Errors
    /// When brokers are away, or silent for too long; and when the topic does not have everything any more.
    pub async fn up_to_now(&mut self, mut on: impl FnMut(Event<M>)) -> anyhow::Result<()> {
        let mut open = self.assign_the_rest().await?;
        while !open.is_empty() {
            let message = timeout(ANSWER_MAX, self.next_message()).await;
            let message = message.context("the topic does not come to its end")?;
            let (partition, next) = (message.partition(), message.offset() + 1);
            self.next.insert(partition, next);
            if open.get(&partition).is_some_and(|end| next >= *end) {
                open.remove(&partition);
            }
            if let Ok(Some(event)) = read(&message, Instant::now()) {
                on(event);
            }
        }
        Ok(())
    }

    async fn next_message(&self) -> OwnedMessage {
        loop {
            match self.kafka.recv().await {
                Ok(message) => return message.detach(),
                // It goes on where it was when the brokers are back.
                Err(error) => tracing::debug!(%error, "reading a topic"),
            }
        }
    }

    /// Assigns the partitions that have more to read; says where each ends.
    async fn assign_the_rest(&self) -> anyhow::Result<HashMap<i32, i64>> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            match self.try_to_assign_the_rest().await {
                Err(error) if may_pass(&error) && Instant::now() < give_up => {
                    tracing::debug!(error = format!("{error:#}"), "asked again");
                    sleep(RETRY).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn try_to_assign_the_rest(&self) -> anyhow::Result<HashMap<i32, i64>> {
        let (kafka, topics, read) = (Arc::clone(&self.kafka), vec![self.topic.clone()], self.next.clone());
        let rest = tokio::task::spawn_blocking(move || {
            let next = |extent: &Extent| read.get(&extent.partition).copied().unwrap_or(0);
            let mut rest = extents(&kafka, &topics)?;
            if let Some(Extent { topic, partition, low, .. }) =
                rest.iter().find(|it| it.low > read.get(&it.partition).copied().unwrap_or(0))
            {
                anyhow::bail!(
                    "{topic}/{partition} begins at offset {low}: what was said before that is gone"
                );
            }
            rest.retain(|extent| next(extent) < extent.high);
            assign(&kafka, &rest, next)?;
            anyhow::Ok(rest)
        });
        Ok(rest.await??.iter().map(|extent| (extent.partition, extent.high)).collect())
    }
}

/// Whether Kafka may say something else soon: it does about everything but a topic that does not exist.
fn may_pass(error: &anyhow::Error) -> bool {
    let code = error.downcast_ref::<KafkaError>().and_then(KafkaError::rdkafka_error_code);
    code.is_some_and(|code| {
        !matches!(code, RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic)
    })
}
