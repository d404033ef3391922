//! The transactional outbox (a pattern's name): what a service says is stored in the transaction of what it tells about, and
//! published afterwards. So there is never one without the other.

use std::borrow::Cow;
use std::sync::Arc;

use database::Pool;
use futures_util::future::BoxFuture;
use rdkafka::error::KafkaError;
use sqlx::postgres::PgConnection;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::envelope::uuid_of;
use crate::event::Cause;
use crate::message::Outgoing;
use crate::settings::KafkaSettings;

/// Largest message in bytes: key, subject, body, and the id of what caused it, which may be a foreign one of any length. Kafka's default is a million with the rest of the envelope,
/// and what it refuses would hold up everything behind it for ever.
const MESSAGE_BYTES_MAX: usize = 900_000;

/// A service's outbox.
#[derive(Clone)]
pub struct Outbox {
    pub(crate) service: &'static str,
    pub(crate) pool: Pool,
    pub(crate) settings: KafkaSettings,
    pub(crate) wake: Arc<Notify>,
}

/// What a transaction says, each message with what caused it, in the order in which it is published.
#[derive(Debug, Default)]
pub struct Said(Vec<(Cause, Outgoing)>);

impl Said {
    /// Adds `message`, which `cause` led to; nothing for `None`.
    pub fn add(&mut self, cause: &Cause, message: impl Into<Option<Outgoing>>) {
        self.0.extend(message.into().map(|message| (cause.clone(), message)));
    }

    /// Answers `cause`, a command, where it says; nothing if it is none, since nobody waits for that.
    pub fn reply(&mut self, cause: &Cause, message: Outgoing) {
        self.add(cause, cause.return_address.as_ref().map(|address| message.reply(address)));
    }
}

impl Outbox {
    /// The outbox of `service` in the database behind `pool`, where [`migrations`](crate::migrations) were applied.
    pub fn new(service: &'static str, pool: Pool, settings: &KafkaSettings) -> Self {
        Self { service, pool, settings: settings.clone(), wake: Arc::default() }
    }

    /// The database that it is in.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Stores `messages` in the transaction of what they tell about. Call it last: whoever appends must hold the lock on the
    /// row that a message is about, or two transactions could append in another order than they commit.
    ///
    /// # Errors
    /// When the database fails; `InvalidArgument` for a message that is too large for Kafka.
    pub async fn append(
        &self,
        conn: &mut PgConnection,
        cause: &Cause,
        messages: Vec<Outgoing>,
    ) -> Result<(), sqlx::Error> {
        append(conn, Said(messages.into_iter().map(|message| (cause.clone(), message)).collect())).await
    }

    /// Has `work` done in a transaction, together with what it says, and has that published.
    ///
    /// # Errors
    /// As [`Pool::transaction`] and [`Self::append`].
    pub async fn transaction<T, E>(
        &self,
        work: impl for<'c> FnOnce(&'c mut PgConnection, &'c mut Said) -> BoxFuture<'c, Result<T, E>>
        + Send
        + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<sqlx::Error> + Send + 'static,
    {
        let done = self.pool.transaction(move |tx| {
            Box::pin(async move {
                let mut said = Said::default();
                let done = work(tx, &mut said).await?;
                let says_something = !said.0.is_empty();
                append(tx, said).await?;
                Ok::<_, E>((done, says_something))
            })
        });
        let (done, says_something) = done.await?;
        if says_something {
            self.wake();
        }
        Ok(done)
    }

    /// Says that a transaction which appended has committed, so that its messages do not wait for the relay's next look.
    pub fn wake(&self) {
        fail::fail_point!("outbox::committed");
        self.wake.notify_one();
    }

    /// A client for the relay.
    ///
    /// # Errors
    /// What librdkafka says about them.
    pub(crate) fn producer(
        &self,
    ) -> Result<rdkafka::producer::FutureProducer<crate::client::Context>, KafkaError> {
        self.settings.producer(None).create_with_context(crate::client::Context::default())
    }
}

/// One statement, however many messages. `unnest` keeps their order, and the identity column follows it.
pub(crate) async fn append(conn: &mut PgConnection, Said(said): Said) -> Result<(), sqlx::Error> {
    if said.is_empty() {
        return Ok(());
    }
    for (cause, Outgoing { kind, key, subject, payload, .. }) in &said {
        let bytes =
            key.len() + subject.len() + payload.len() + cause.causation_id.as_ref().map_or(0, String::len);
        if bytes > MESSAGE_BYTES_MAX {
            let error =
                format!("{kind} is too large to be published: {bytes} bytes, not {MESSAGE_BYTES_MAX}");
            return Err(sqlx::Error::InvalidArgument(error));
        }
    }
    let mut columns = Columns::default();
    for (cause, message) in said {
        columns.event_ids.push(Uuid::now_v7());
        columns.topics.push(message.topic);
        columns.keys.push(message.key);
        columns.kinds.push(message.kind);
        columns.subjects.push(message.subject);
        columns.versions.push(message.aggregate_version);
        columns.correlations.push(cause.correlation_id);
        let (own, foreign) = split(cause.causation_id);
        columns.causations.push(own);
        columns.foreign_causations.push(foreign);
        columns.reply_tos.push(message.reply_to);
        columns.traceparents.push(cause.traceparent);
        columns.payloads.push(message.payload);
    }
    sqlx::query(
        "insert into outbox (event_id, topic, key, type, subject, aggregate_version, correlation_id, causation_id,
                             foreign_causation_id, reply_to, traceparent, payload)
         select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::uuid[],
                              $8::uuid[], $9::text[], $10::text[], $11::text[], $12::text[])",
    )
    .bind(columns.event_ids)
    .bind(columns.topics)
    .bind(columns.keys)
    .bind(columns.kinds)
    .bind(columns.subjects)
    .bind(columns.versions)
    .bind(columns.correlations)
    .bind(columns.causations)
    .bind(columns.foreign_causations)
    .bind(columns.reply_tos)
    .bind(columns.traceparents)
    .bind(columns.payloads)
    .execute(conn)
    .await?;
    Ok(())
}

/// The rows to insert, column by column.
#[derive(Default)]
struct Columns {
    event_ids: Vec<Uuid>,
    topics: Vec<Cow<'static, str>>,
    keys: Vec<String>,
    kinds: Vec<&'static str>,
    subjects: Vec<String>,
    versions: Vec<Option<i64>>,
    correlations: Vec<Uuid>,
    causations: Vec<Option<Uuid>>,
    foreign_causations: Vec<Option<String>>,
    reply_tos: Vec<Option<&'static str>>,
    traceparents: Vec<Option<String>>,
    payloads: Vec<String>,
}

/// An id as the columns have it: a UUID, or a foreign producer's text.
fn split(causation_id: Option<String>) -> (Option<Uuid>, Option<String>) {
    let own = causation_id.as_deref().and_then(uuid_of);
    (own, causation_id.filter(|_| own.is_none()))
}
