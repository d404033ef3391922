//! The relay: publishes the outbox in the order of its ids, and deletes what Kafka has acknowledged.
//!
//! One relay works per outbox, whichever replica of the service holds the advisory lock; the lock belongs to the relay's own
//! connection and goes with it. No transaction is open while Kafka is waited for. What was sent and not deleted before a
//! crash is sent again: consumers know a message by its id (see the inbox).

use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::BoxFuture;
use rdkafka::error::KafkaError;
use rdkafka::producer::{FutureProducer, Producer as _, PurgeConfig};
use sqlx::postgres::{PgConnection, PgListener, PgPoolOptions};
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::backlog::{BATCH_BYTES, Row, delete, fetch_oldest, measure_backlog, tell_backlog};
use crate::client::{Context, drop_blocking};
use crate::envelope::Metadata;
use crate::outbox::Outbox;
use crate::producer::send;
use crate::window::Window;

/// How often the relay looks without being woken, and tries to get the lock.
const POLL: Duration = Duration::from_millis(100);
/// Messages that are on their way at the same time.
const BATCH_MAX: usize = 500;
/// How often the holder of the lock makes sure that it still has it while Kafka is slow.
const LOCK_CHECK: Duration = Duration::from_millis(500);
/// After this silence the database ends the holder's session, and with it the lock: a machine that vanished, or a process that
/// was stopped, says no goodbye. Longer than a live holder needs to notice that its connection is gone.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// How long the database may take to answer. Without a bound, a connection whose other end has vanished would be waited for
/// while another replica has the lock.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How often the backlog is measured.
const BACKLOG_CHECK: Duration = Duration::from_secs(5);
/// The wait after an error; doubled up to the second.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// How long a service that stops goes on publishing what it has said.
const DRAIN_MAX: Duration = Duration::from_secs(2);
/// The shortest time between two notifications of a replica that does not hold the lock: a commit that notifies waits for
/// others that do, so not every commit does.
const NOTIFY_INTERVAL: Duration = Duration::from_millis(5);
/// Names the lock among the locks of its database; the schema is the other half.
const LOCK: &str = "select pg_try_advisory_lock(hashtext('outbox'), hashtext(current_schema()))";

/// What a look into the outbox led to.
struct Published {
    messages: usize,
    /// Whether there was too much for one batch.
    full: bool,
}

impl Outbox {
    /// Publishes until `shutdown`, and then what is left for a moment. Errors are logged and tried again: nothing is lost by
    /// them, and nothing can be done about them here.
    ///
    /// # Errors
    /// Never: it returns a result as all workers do.
    pub fn relay(self, shutdown: CancellationToken) -> BoxFuture<'static, anyhow::Result<()>> {
        Box::pin(self.relay_until(shutdown))
    }

    async fn relay_until(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut backoff = BACKOFF.0;
        let mut window = Window::new(BATCH_MAX);
        while !shutdown.is_cancelled() {
            let started = Instant::now();
            if let Err(error) = self.run_connected(&shutdown, &mut window).await {
                tracing::warn!(error = database::chain(&*error), "the relay starts again");
                backoff =
                    if started.elapsed() > BACKOFF.1 { BACKOFF.0 } else { (backoff * 2).min(BACKOFF.1) };
                tokio::select! {
                    () = sleep(backoff.mul_f64(fastrand::f64().max(0.1))) => {},
                    () = shutdown.cancelled() => {}
                }
            }
        }
        Ok(())
    }

    /// One connection's life: until an error, or `shutdown`.
    async fn run_connected(&self, shutdown: &CancellationToken, window: &mut Window) -> anyhow::Result<()> {
        let mut conn = tokio::select! {
            holder = self.hold_lock() => holder?,
            () = shutdown.cancelled() => return Ok(()),
        };
        let listener = answer(Box::pin(self.listener())).await.context("listening to the outbox")?;
        tracing::info!(service = self.service, "the relay holds the lock");
        let kafka = self.producer()?;
        let outcome = tokio::select! {
            outcome = self.publish_until(&mut conn, &kafka, shutdown, window) => outcome,
            error = self.wake_when_told(listener) => Err(error).context("listening to the outbox"),
            // Brokers may be away. What is left is published after the next start.
            () = async { shutdown.cancelled().await; sleep(DRAIN_MAX).await } => Ok(()),
        };
        // Whatever still lies in the producer's queue must not be sent after somebody else has taken over.
        kafka.purge(PurgeConfig::default().queue().inflight());
        drop_blocking(kafka);
        // From here on another replica may know.
        tell_backlog(0, 0.0);
        outcome
    }

    /// A connection with the lock; waits while another replica has it.
    async fn hold_lock(&self) -> anyhow::Result<PgConnection> {
        let mut conn = answer(self.connect()).await.context("connecting to the outbox")?;
        while !answer(sqlx::query_scalar::<_, bool>(LOCK).fetch_one(&mut conn)).await? {
            // Another replica publishes, and is woken by us.
            tokio::select! {
                () = self.wake.notified() => {
                    let notify = sqlx::query("select pg_notify($1, '')").bind(self.channel());
                    answer(notify.execute(&mut conn)).await?;
                    sleep(NOTIFY_INTERVAL).await;
                }
                () = sleep(POLL) => {}
            }
        }
        Ok(conn)
    }

    /// Wakes this relay when a replica without the lock has said something; until an error.
    async fn wake_when_told(&self, mut listener: PgListener) -> sqlx::Error {
        loop {
            match listener.recv().await {
                Ok(_) => self.wake.notify_one(),
                Err(error) => return error,
            }
        }
    }

    /// Publishes until an error; after `shutdown`, until nothing is left.
    async fn publish_until(
        &self,
        conn: &mut PgConnection,
        kafka: &FutureProducer<Context>,
        shutdown: &CancellationToken,
        window: &mut Window,
    ) -> anyhow::Result<()> {
        let mut backlog_due = Instant::now();
        loop {
            if backlog_due <= Instant::now() {
                answer(measure_backlog(conn)).await?;
                backlog_due = Instant::now() + BACKLOG_CHECK;
            }
            if self.publish_batch(conn, kafka, window).await?.full {
                continue;
            }
            tokio::select! {
                () = self.wake.notified() => {}
                () = sleep(POLL) => {}
                () = shutdown.cancelled() => {
                    while self.publish_batch(conn, kafka, window).await?.messages > 0 {}
                    return Ok(());
                }
            }
        }
    }

    /// Publishes the oldest messages, at most as many as the window allows.
    async fn publish_batch(
        &self,
        conn: &mut PgConnection,
        kafka: &FutureProducer<Context>,
        window: &mut Window,
    ) -> anyhow::Result<Published> {
        let before = *window;
        let rows = answer(fetch_oldest(conn, i64::try_from(before.size())?)).await?;
        if rows.is_empty() {
            return Ok(Published { messages: 0, full: false });
        }
        let bytes: usize = rows.iter().map(|row| row.key.len() + row.payload.len()).sum();
        // Until all are taken, whatever ends this.
        *window = before.after_failure(rows.len());
        let full = before.size() == rows.len() || i64::try_from(bytes)? >= BATCH_BYTES;
        let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
        let sent: Vec<_> = rows.into_iter().map(|row| self.send(kafka, row)).collect::<Result<_, _>>()?;
        fail::fail_point!("relay::produced");
        let mut acknowledged = std::pin::pin!(acknowledged_prefix(sent));
        let mut check = interval(LOCK_CHECK);
        check.reset();
        let (done, outcome) = loop {
            tokio::select! {
                prefix = &mut acknowledged => break prefix,
                // A lost connection is a lost lock: then it is time to stop, not to wait for Kafka.
                _ = check.tick() => {
                    answer(sqlx::query("select 1").execute(&mut *conn)).await.context("the lock is lost")?;
                }
            }
        };
        if outcome.is_err() {
            // What was handed over behind it goes no further; as far as it has gone, it will come again.
            kafka.purge(PurgeConfig::default().queue().inflight());
        }
        fail::fail_point!("relay::acked");
        answer(delete(conn, &ids[..done])).await?;
        fail::fail_point!("relay::row_deleted");
        metrics::counter!("messaging_published_total").increment(u64::try_from(done)?);
        outcome.context("Kafka did not take a message")?;
        *window = before.after_success();
        Ok(Published { messages: done, full })
    }

    fn send(
        &self,
        kafka: &FutureProducer<Context>,
        row: Row,
    ) -> Result<impl Future<Output = Result<(), KafkaError>> + Send + use<>, KafkaError> {
        let metadata = Metadata {
            id: row.event_id.to_string(),
            source: format!("/{}", self.service),
            kind: row.kind,
            time: Some(row.created_at),
            subject: Some(row.subject),
            correlation_id: row.correlation_id,
            causation_id: row.causation_id,
            aggregate_version: row.aggregate_version,
            reply_to: row.reply_to.map(|topic| self.settings.topic(&topic)),
            traceparent: row.traceparent,
        };
        send(kafka, &self.settings.topic(&row.topic), metadata, &row.key, &row.payload)
    }

    /// A connection of the relay's own, to a server that takes writes: a standby would let it have the lock, and read, and publish
    /// the same again and again. The lock lives and dies with it.
    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let mut conn = self.pool.connect().await?;
        // A row whose deletion is lost is sent again; that is worth less than a disk flush per batch.
        sqlx::query("set synchronous_commit = off").execute(&mut conn).await?;
        let silence = format!("{}ms", SILENCE_MAX.as_millis());
        sqlx::query("select set_config('idle_session_timeout', $1, false)")
            .bind(silence)
            .execute(&mut conn)
            .await?;
        Ok(conn)
    }

    async fn listener(&self) -> Result<PgListener, sqlx::Error> {
        // Not out of the service's pool, from which it would be missing for ever. A standby refuses to `listen`.
        let own = PgPoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
        let own = own.connect_with(self.pool.connect_options().clone()).await?;
        let mut listener = PgListener::connect_with(&own).await?;
        listener.listen(&self.channel()).await?;
        Ok(listener)
    }

    fn channel(&self) -> String {
        format!("outbox_{}", self.service)
    }
}

/// What the database answers to `question`, or an error if it does not.
async fn answer<T>(question: impl Future<Output = Result<T, sqlx::Error>>) -> anyhow::Result<T> {
    Ok(timeout(ANSWER_MAX, question).await.context("the database does not answer")??)
}

/// How many of `sent` are acknowledged before the first that is not, and why that one is not.
async fn acknowledged_prefix(
    sent: Vec<impl Future<Output = Result<(), KafkaError>>>,
) -> (usize, Result<(), KafkaError>) {
    let all = sent.len();
    for (done, acknowledgement) in sent.into_iter().enumerate() {
        if let Err(error) = acknowledgement.await {
            return (done, Err(error));
        }
    }
    (all, Ok(()))
}
