//! The consumer: reads what is there, handles it in one transaction, and only then stores how far it has come.
//!
//! ```text
//! poll -> facts (outside any transaction) -> begin -> inbox -> handler -> outbox -> commit -> store offsets
//! ```
//!
//! What fails for now (a database, another service) is tried again, in order, while the partitions are paused. What can never
//! be handled goes to the dead letter topic, alone: its neighbours in the batch are handled as if it had not been there.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use database::{Pool, chain};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rdkafka::Message as _;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::batch::{Process, Processor, Received};
use crate::client::{Context, drop_blocking, note};
use crate::dead_letter::DeadLetters;
use crate::handler::Handler;
use crate::inbox;
use crate::known_topics::KnownTopics;
use crate::message::Incoming as _;
use crate::outbox::Outbox;

/// Messages that are handled in one transaction, at most.
const BATCH_MAX: usize = 200;
/// Their bodies together, in bytes; the last may go beyond it.
const BATCH_BYTES: usize = 4 << 20;
/// The wait after a failure; doubled up to the second. Well below `max.poll.interval.ms`.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// How long a member may take to leave its group and to commit what it has stored.
const LEAVE_MAX: Duration = Duration::from_secs(5);

/// A member of a consumer group.
pub struct Consumer {
    name: &'static str,
    pool: Pool,
    processor: Box<dyn Process>,
    dead_letters: DeadLetters,
    kafka: StreamConsumer<Context>,
}

impl Consumer {
    /// A consumer called `name` of the service whose outbox this is.
    ///
    /// # Errors
    /// When a setting is wrong.
    pub fn new<H: Handler>(name: &'static str, handler: H, outbox: Outbox) -> anyhow::Result<Self> {
        let settings = &outbox.settings;
        let kafka: StreamConsumer<Context> =
            settings.consumer(name).create_with_context(Context::of(name)).context("KAFKA_*")?;
        let topics: Vec<String> =
            H::Incoming::topics().into_iter().map(|topic| settings.topic(topic)).collect();
        kafka.subscribe(&topics.iter().map(String::as_str).collect::<Vec<_>>()).context("KAFKA_*")?;
        let dead_letters = DeadLetters::new(name, settings)?;
        let pool = outbox.pool.clone();
        Ok(Self {
            name,
            pool,
            processor: Box::new(Processor {
                name,
                handler,
                outbox,
                return_addresses: KnownTopics::default(),
            }),
            dead_letters,
            kafka,
        })
    }

    /// Consumes until `shutdown`; finishes the batch it is at, and commits.
    ///
    /// # Errors
    /// When librdkafka says that this client cannot go on. Whoever supervises the process starts it anew.
    pub fn run(self, shutdown: CancellationToken) -> BoxFuture<'static, anyhow::Result<()>> {
        Box::pin(async move {
            let outcome = tokio::select! {
                outcome = self.consume(&shutdown) => outcome,
                never = inbox::purge_for_ever(self.pool.clone(), self.name) => match never {},
            };
            leave(self.name, self.kafka).await;
            drop_blocking(self.dead_letters);
            outcome
        })
    }

    async fn consume(&self, shutdown: &CancellationToken) -> anyhow::Result<()> {
        loop {
            // Asked for, since it is told but once, and perhaps where other errors are passed over.
            if let Some((_, reason)) = self.kafka.client().fatal_error() {
                return Err(anyhow!("the consumer {} cannot go on: {reason}", self.name));
            }
            let first = tokio::select! {
                message = self.kafka.recv() => message,
                () = shutdown.cancelled() => return Ok(()),
            };
            let messages = match first {
                Ok(first) => self.with_what_is_there(self.received(&first)),
                Err(error) => {
                    self.tell(&error);
                    continue;
                }
            };
            fail::fail_point!("messaging::consumed");
            if !self.finish(messages, shutdown).await {
                return Ok(());
            }
        }
    }

    /// Logs an error of polling. Most pass by themselves; a topic or a permission that is missing does not.
    fn tell(&self, error: &KafkaError) {
        let is_missing = matches!(
            error.rdkafka_error_code(),
            Some(
                RDKafkaErrorCode::UnknownTopicOrPartition
                    | RDKafkaErrorCode::TopicAuthorizationFailed
                    | RDKafkaErrorCode::GroupAuthorizationFailed
            )
        );
        if is_missing {
            tracing::warn!(consumer = self.name, %error, "nothing can be consumed");
        } else {
            tracing::debug!(consumer = self.name, %error, "polling");
        }
    }

    /// A message has come just now.
    fn received(&self, message: &BorrowedMessage<'_>) -> Received {
        note(&self.kafka, message);
        Received::now(message.detach())
    }

    /// What is there already, up to a limit, without waiting for more.
    fn with_what_is_there(&self, first: Received) -> Vec<Received> {
        let body = |message: &Received| message.raw.payload().map_or(0, <[u8]>::len);
        let mut bytes = body(&first);
        let mut messages = vec![first];
        while messages.len() < BATCH_MAX && bytes < BATCH_BYTES {
            match self.kafka.recv().now_or_never() {
                Some(Ok(message)) => {
                    let message = self.received(&message);
                    bytes += body(&message);
                    messages.push(message);
                }
                // An error comes again, or has passed.
                Some(Err(_)) | None => break,
            }
        }
        messages
    }

    /// Handles `messages`, however long it takes; `false` when told to stop before it was done.
    async fn finish(&self, mut messages: Vec<Received>, shutdown: &CancellationToken) -> bool {
        let mut backoff = BACKOFF.0;
        let mut paused = TopicPartitionList::new();
        loop {
            let error = match self.handle(&messages).await {
                Ok(()) => {
                    self.store_offsets(&messages);
                    self.resume(&paused);
                    return true;
                }
                Err(error) => error,
            };
            metrics::counter!("messaging_retries_total", "consumer" => self.name).increment(1);
            tracing::warn!(
                consumer = self.name,
                messages = messages.len(),
                error = chain(&*error),
                "will try again"
            );
            tokio::select! {
                () = self.keep_polling(jittered(backoff), &mut messages, &mut paused) => {}
                () = shutdown.cancelled() => return false,
            }
            if messages.is_empty() {
                self.resume(&paused);
                return true;
            }
            backoff = (backoff * 2).min(BACKOFF.1);
        }
    }

    async fn handle(&self, messages: &[Received]) -> anyhow::Result<()> {
        let poison = self.processor.process(messages).await?;
        for (message, error) in poison {
            self.dead_letters.put_aside(message, &error).await?;
        }
        Ok(())
    }

    /// Waits with the partitions paused, but goes on polling: a member that does not poll loses its partitions. Partitions
    /// that come meanwhile bring messages, which join `messages`; those of partitions that go are no longer ours.
    async fn keep_polling(
        &self,
        wait: Duration,
        messages: &mut Vec<Received>,
        paused: &mut TopicPartitionList,
    ) {
        let until = Instant::now() + wait;
        loop {
            if let Ok(ours) = self.kafka.assignment() {
                for it in ours.elements() {
                    if paused.find_partition(it.topic(), it.partition()).is_none() {
                        paused.add_partition(it.topic(), it.partition());
                    }
                }
                if let Err(error) = self.kafka.pause(&ours) {
                    tracing::debug!(consumer = self.name, %error, "pausing");
                }
                let is_ours = |Received { raw, .. }: &Received| {
                    ours.find_partition(raw.topic(), raw.partition()).is_some()
                };
                messages.retain(is_ours);
            }
            match timeout_at(until, self.kafka.recv()).await {
                Ok(Ok(message)) => messages.push(self.received(&message)),
                Ok(Err(error)) => tracing::debug!(consumer = self.name, %error, "polling"),
                Err(_) => return,
            }
        }
    }

    /// Resumes what was paused, also what is no longer ours: librdkafka would remember the pause until it comes back, and then
    /// nobody would end it.
    fn resume(&self, paused: &TopicPartitionList) {
        if paused.count() > 0
            && let Err(error) = self.kafka.resume(paused)
        {
            tracing::debug!(consumer = self.name, %error, "resuming");
        }
    }

    /// Remembers what comes next in each partition. The effects are committed: if this is lost, the inbox knows them.
    fn store_offsets(&self, messages: &[Received]) {
        fail::fail_point!("messaging::effect_committed");
        let mut next: HashMap<(&str, i32), i64> = HashMap::new();
        for Received { raw, .. } in messages {
            next.insert((raw.topic(), raw.partition()), raw.offset() + 1);
        }
        for ((topic, partition), offset) in next {
            let mut list = TopicPartitionList::new();
            let stored = list
                .add_partition_offset(topic, partition, Offset::Offset(offset))
                .and_then(|()| self.kafka.store_offsets(&list));
            if let Err(error) = stored {
                // Revoked meanwhile: whoever has it now meets these messages again, and the inbox knows them.
                tracing::debug!(consumer = self.name, topic, partition, %error, "the offset is not ours to store");
            }
        }
        fail::fail_point!("messaging::offset_stored");
    }
}

/// Half of `wait` up to all of it, so that several that fail together do not come back together.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// Leaves the group and commits what was stored; not for ever, since librdkafka waits for answers that a broker which was
/// away meanwhile may never give. What is not committed is met again by whoever comes next, and the inbox knows it.
async fn leave(consumer: &'static str, kafka: StreamConsumer<Context>) {
    let (done, left) = oneshot::channel();
    // Not one of the runtime's threads: those are waited for at the end of the process.
    std::thread::spawn(move || {
        drop(kafka);
        // Fails when nobody waits any more.
        let _ = done.send(());
    });
    if timeout(LEAVE_MAX, left).await.is_err() {
        tracing::warn!(consumer, "the group cannot be left; it will notice");
    }
}
