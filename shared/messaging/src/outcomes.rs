//! What a gateway waits for: it reads the topics from their end, without a group, and hands each message to whoever waits for
//! its correlation id. Every replica reads everything; only the one that holds the waiting client acts.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{Stream, unfold};
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::BorrowedMessage;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::coop::consume_budget;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::arrived::Arrived;
use crate::client::{Context, drop_blocking, note};
use crate::envelope::Metadata;
use crate::event::Event;
use crate::message::{Decoded, Incoming};
use crate::mistake;
use crate::reading::{assign, assign_added, extents};
use crate::settings::KafkaSettings;

/// The wait before the brokers are asked again where the topics end.
const RETRY: Duration = Duration::from_millis(500);
/// A mistake on purpose: replicas share the partitions, so what comes for the clients of one may be read by another.
const IN_A_GROUP: &str = "mistake::replies_in_a_group";

/// Those who wait, by correlation id. The number tells apart two that wait for the same.
type Waiters<M> = HashMap<Uuid, Vec<(u64, UnboundedSender<Event<M>>)>>;

/// The messages that waiting clients wait for.
pub struct Outcomes<M> {
    waiters: Mutex<Waiters<M>>,
    reading: AtomicBool,
}

/// Somebody's wait. It ends when this is dropped.
pub struct Waiting<M> {
    outcomes: Arc<Outcomes<M>>,
    correlation_id: Uuid,
    number: u64,
    events: UnboundedReceiver<Event<M>>,
}

impl<M: Incoming> Outcomes<M> {
    /// Nobody waits yet, and nothing is read before [`Self::read`] runs.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self { waiters: Mutex::default(), reading: AtomicBool::new(false) })
    }

    /// Whether the ends of the topics are known: before that, an outcome could be missed.
    pub fn is_reading(&self) -> bool {
        self.reading.load(Ordering::Acquire)
    }

    /// Starts to wait for messages of `correlation_id`. Call it before publishing what they answer.
    pub fn wait_for(self: &Arc<Self>, correlation_id: Uuid) -> Waiting<M> {
        let (sender, events) = unbounded_channel();
        let number = fastrand::u64(..);
        self.lock().entry(correlation_id).or_default().push((number, sender));
        Waiting { outcomes: Arc::clone(self), correlation_id, number, events }
    }

    /// Reads until `shutdown`.
    ///
    /// # Errors
    /// When a setting is wrong. Brokers that are away are waited for.
    pub fn read(
        self: Arc<Self>,
        settings: KafkaSettings,
        shutdown: CancellationToken,
    ) -> BoxFuture<'static, anyhow::Result<()>>
    where
        M: 'static,
    {
        let topics = M::topics().into_iter().map(|topic| settings.topic(topic)).collect();
        Box::pin(read(settings, topics, self, shutdown))
    }

    fn hand_over(&self, message: &BorrowedMessage<'_>) {
        let Ok(arrived) = Arrived::read(message) else { return };
        let correlation_id = arrived.text("correlationid").ok().flatten().and_then(|id| id.parse().ok());
        let Some(correlation_id) = correlation_id else { return };
        let waiters = self.lock();
        // Most messages are waited for by another replica, or by nobody: they are not even decoded.
        let Some(waiting) = waiters.get(&correlation_id) else { return };
        let (Ok(kind), Ok(data)) = (arrived.required("type"), arrived.data()) else { return };
        for (_, waiter) in waiting {
            let Decoded::Message(decoded) = M::decode(&kind, &data) else { return };
            let Ok(metadata) = Metadata::read(&arrived) else { return };
            // Fails when the client has just gone.
            let _ = waiter.send(Event { metadata, received_at: Instant::now(), message: decoded });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiters<M>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who wants to have what is read. So reading is compiled once, and not again for each style's messages.
trait Readers: Send + Sync {
    /// From now on nothing is missed.
    fn reading_begins(&self);

    /// Hands `message` to those who wait for it.
    fn deliver(&self, message: &BorrowedMessage<'_>);
}

impl<M: Incoming> Readers for Outcomes<M> {
    fn reading_begins(&self) {
        self.reading.store(true, Ordering::Release);
    }

    fn deliver(&self, message: &BorrowedMessage<'_>) {
        self.hand_over(message);
    }
}

async fn read(
    settings: KafkaSettings,
    topics: Vec<String>,
    readers: Arc<dyn Readers>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let Some(kafka) = start(&settings, &topics, &shutdown).await? else { return Ok(()) };
    let kafka = Arc::new(kafka);
    readers.reading_begins();
    tokio::select! {
        never = deliver_from(&kafka, &*readers) => match never {},
        never = follow_growth(&kafka, &settings, &topics), if !mistake::is_made(IN_A_GROUP) => match never {},
        () = shutdown.cancelled() => {}
    }
    drop_blocking(kafka);
    Ok(())
}

/// A client that is a member of no group, since it has to read everything.
fn reader(settings: &KafkaSettings) -> anyhow::Result<StreamConsumer<Context>> {
    if !mistake::is_made(IN_A_GROUP) {
        return settings.lone_reader("gateway", "latest");
    }
    let mut config = settings.consumer("gateway");
    config.set("auto.offset.reset", "latest").set("enable.auto.commit", "false");
    Ok(config.create_with_context(Context::default())?)
}

/// Has `kafka` read on from where `topics` end at this moment. Blocks.
fn begin_at_the_end(kafka: &StreamConsumer<Context>, topics: &[String]) -> anyhow::Result<()> {
    if mistake::is_made(IN_A_GROUP) {
        return Ok(kafka.subscribe(&topics.iter().map(String::as_str).collect::<Vec<_>>())?);
    }
    let ends = extents(kafka, topics)?;
    assign(kafka, &ends, |end| end.high)
}

/// A reader at the end of the topics, once brokers answer; `None` at shutdown.
async fn start(
    settings: &KafkaSettings,
    topics: &[String],
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<StreamConsumer<Context>>> {
    loop {
        let (kafka, wanted) = (reader(settings)?, topics.to_vec());
        let assigned = spawn_blocking(move || begin_at_the_end(&kafka, &wanted).map(|()| kafka));
        match assigned.await? {
            Ok(kafka) => return Ok(Some(kafka)),
            Err(error) => tracing::warn!(error = format!("{error:#}"), "outcomes cannot be read yet"),
        }
        tokio::select! { () = tokio::time::sleep(RETRY) => {}, () = shutdown.cancelled() => return Ok(None) }
    }
}

/// Delivers what comes.
async fn deliver_from(kafka: &StreamConsumer<Context>, readers: &dyn Readers) -> Infallible {
    loop {
        match kafka.recv().await {
            Ok(message) => {
                note(kafka, &message);
                readers.deliver(&message);
            }
            // It goes on where it was when the brokers are back.
            Err(error) => tracing::debug!(%error, "reading outcomes"),
        }
        // The client does not know tokio's budget: while there is always one more, nobody else would have a turn.
        consume_budget().await;
    }
}

/// Has `kafka` read the partitions that are added to `topics`, within the time that all clients may take to know of them.
async fn follow_growth(
    kafka: &Arc<StreamConsumer<Context>>,
    settings: &KafkaSettings,
    topics: &[String],
) -> Infallible {
    let mut looks = interval(Duration::from_millis(settings.kafka_metadata_refresh_ms.into()));
    // The brokers may have taken long to answer.
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let (client, topics) = (Arc::clone(kafka), topics.to_vec());
        match spawn_blocking(move || assign_added(&client, &topics)).await {
            Ok(Ok(0)) => {}
            Ok(Ok(partitions)) => tracing::info!(partitions, "outcomes are read from new partitions too"),
            // Asked again soon: brokers may be away.
            Ok(Err(error)) => tracing::debug!(error = format!("{error:#}"), "looking for new partitions"),
            Err(error) => tracing::debug!(%error, "looking for new partitions"),
        }
    }
}

impl<M: Send + Sync + 'static> Waiting<M> {
    /// That there is a message, and not what it says, again and again.
    pub fn news(self) -> Pin<Box<dyn Stream<Item = ()> + Send>> {
        Box::pin(unfold(self, async |mut waiting| {
            waiting.next().await;
            Some(((), waiting))
        }))
    }
}

impl<M> Waiting<M> {
    /// The next message of this correlation id, whoever said it.
    pub async fn next(&mut self) -> Event<M> {
        match self.events.recv().await {
            Some(event) => event,
            // The sender lives in `outcomes` for as long as this does.
            None => std::future::pending().await,
        }
    }

    /// The message that the message `request` caused.
    pub async fn answer_to(&mut self, request: &str) -> M {
        loop {
            let event = self.next().await;
            if event.metadata.causation_id.as_deref() == Some(request) {
                return event.message;
            }
        }
    }
}

impl<M> Drop for Waiting<M> {
    fn drop(&mut self) {
        let mut waiters = self.outcomes.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = waiters.get_mut(&self.correlation_id) {
            waiting.retain(|(number, _)| *number != self.number);
            if waiting.is_empty() {
                waiters.remove(&self.correlation_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::MessageType;

    #[derive(Debug)]
    struct Nothing;

    impl Incoming for Nothing {
        fn topics() -> Vec<&'static str> {
            Vec::new()
        }

        fn messages() -> Vec<MessageType> {
            Vec::new()
        }

        fn decode(_: &str, _: &[u8]) -> Decoded<Self> {
            Decoded::Unknown
        }

        fn is_answered(&self) -> bool {
            false
        }
    }

    #[test]
    fn a_wait_that_ends_leaves_nothing_behind_and_the_others_where_they_are() {
        let outcomes = Outcomes::<Nothing>::new();
        let (one, two) = (Uuid::now_v7(), Uuid::now_v7());
        let waits = [outcomes.wait_for(one), outcomes.wait_for(one), outcomes.wait_for(two)];
        let waiting = |id| outcomes.lock().get(&id).map(Vec::len);
        assert_eq!((waiting(one), waiting(two)), (Some(2), Some(1)));
        let [first, second, third] = waits;
        drop(first);
        assert_eq!((waiting(one), waiting(two)), (Some(1), Some(1)));
        drop((second, third));
        assert!(outcomes.lock().is_empty());
    }
}
