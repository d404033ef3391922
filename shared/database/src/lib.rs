//! Connections to a service's PostgreSQL.
//!
//! A pool of `sqlx`'s connections that is not `sqlx`'s pool: that one asks the server for a sign of life whenever a connection comes
//! back, which is as many round trips again as a service that answers with single statements has statements. Here a
//! connection is asked when there is a reason to: see [`Pool::run`].

use std::fmt::{self, Debug};
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use clap::Args;
use deadpool::Runtime;
use deadpool::managed::{Manager, Metrics, Object, PoolError, QueueMode, RecycleError, RecycleResult};
use futures_util::future::BoxFuture;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::Instrument as _;
use tracing::log::LevelFilter;

/// How long a service waits for a connection: for one that others use, or for the server to open one.
const PATIENCE: Duration = Duration::from_secs(2);
/// A connection that was idle for so long may have been cut meanwhile.
const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// Older connections are replaced: a server process grows with what it has seen.
const AGE_MAX: Duration = Duration::from_mins(30);

/// Where a service's tables are.
#[derive(Clone, Debug, Args)]
pub struct DatabaseSettings {
    /// The address of PostgreSQL, `postgres://role:password@host/database`. The role is the service's own, and its search path is the
    /// service's schema.
    // A string, since an error about a value of another type would show it, password and all.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: String,

    /// How many connections to PostgreSQL the pool may hold.
    #[arg(long, env = "DATABASE_CONNECTIONS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub database_connections: u32,
}

/// The address of the database does not parse. It is not shown: it has a password.
#[derive(Debug, thiserror::Error)]
#[error("DATABASE_URL is not an address like postgres://role:password@host/database")]
pub struct InvalidUrl;

impl DatabaseSettings {
    /// A pool of connections, opened as they are needed. `service` shows in `pg_stat_activity`.
    ///
    /// # Errors
    /// When the URL is not a PostgreSQL address.
    pub fn pool(&self, service: &str) -> Result<Pool, InvalidUrl> {
        let options: PgConnectOptions = self.database_url.parse().map_err(|_| InvalidUrl)?;
        let options = options
            .application_name(service)
            // A session that forgets its transaction must not hold locks for ever; a statement that waits for a lock must
            // not outlive the request that it serves.
            .options([("idle_in_transaction_session_timeout", "5s"), ("statement_timeout", "2s")])
            // A statement's plan is made once, perhaps when its tables are still empty, and then kept. Every statement here
            // looks up a few rows by their keys, so no plan may read a whole table.
            .options([("enable_seqscan", "off"), ("enable_hashjoin", "off"), ("enable_mergejoin", "off")])
            .log_statements(LevelFilter::Trace)
            .log_slow_statements(LevelFilter::Warn, Duration::from_secs(1));
        Ok(Pool::new(options, self.database_connections))
    }
}

/// A pool of connections. Its clones are the same pool.
#[derive(Clone, Debug)]
pub struct Pool(deadpool::managed::Pool<Connector>);

impl Pool {
    /// A pool of at most `connections`, opened as they are needed.
    ///
    /// # Panics
    /// Never: it has a runtime, which is all that its timeouts need.
    pub fn new(options: PgConnectOptions, connections: u32) -> Self {
        let pool = deadpool::managed::Pool::builder(Connector(options))
            .max_size(usize::try_from(connections).unwrap_or(usize::MAX))
            .wait_timeout(Some(PATIENCE))
            .create_timeout(Some(PATIENCE))
            .recycle_timeout(Some(PATIENCE))
            // As few server processes as will do, each with what it needs in its caches.
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .build();
        Self(pool.expect("timeouts have their runtime"))
    }

    /// A connection. Dropped, it is asked for a sign of life before it goes back, which also rolls a transaction back that was
    /// given up.
    ///
    /// # Errors
    /// `PoolTimedOut` when there is none in time, `PoolClosed` after [`Self::close`], and what connecting can end with.
    pub fn acquire(&self) -> BoxFuture<'_, Result<Connection, sqlx::Error>> {
        Box::pin(async move {
            match self.0.get().await {
                Ok(slot) => Ok(Connection(Some(slot))),
                Err(PoolError::Backend(error)) => Err(error),
                Err(PoolError::Closed) => Err(sqlx::Error::PoolClosed),
                Err(PoolError::Timeout(_) | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_)) => {
                    Err(sqlx::Error::PoolTimedOut)
                }
            }
        })
    }

    /// Runs `work` on a connection, to its end even if the caller stops waiting (see [`uninterrupted`]).
    ///
    /// When it was done without an error, the connection is as it was before, and the next may have it without a question.
    ///
    /// # Errors
    /// As [`Self::acquire`], and what `work` ends with.
    pub async fn run<T, E>(
        &self,
        work: impl for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<sqlx::Error> + Send + 'static,
    {
        let pool = self.clone();
        uninterrupted(async move {
            let mut connection = pool.acquire().await?;
            let done = work(&mut connection).await?;
            connection.give_back();
            Ok(done)
        })
        .await
    }

    /// As [`Self::run`], in a transaction that is committed when `work` was done without an error, and otherwise rolled back.
    ///
    /// # Errors
    /// As [`Self::run`]; an error of the commit leaves open whether it happened.
    pub async fn transaction<T, E>(
        &self,
        work: impl for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<sqlx::Error> + Send + 'static,
    {
        self.run(move |connection| {
            Box::pin(async move {
                let mut transaction = connection.begin().await?;
                let done = work(&mut transaction).await?;
                transaction.commit().await?;
                Ok(done)
            })
        })
        .await
    }

    /// Where the connections lead, for one that is not part of the pool.
    pub fn connect_options(&self) -> &PgConnectOptions {
        &self.0.manager().0
    }

    /// Closes the connections, those that are in use when they come back.
    pub fn close(&self) {
        self.0.close();
    }
}

/// A connection of a pool.
pub struct Connection(Option<Object<Connector>>);

impl Connection {
    /// Gives it back without a question: it has just answered, and is in no transaction.
    pub fn give_back(mut self) {
        self.0 = None;
    }
}

impl Deref for Connection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.0.as_ref().expect("it is there until it goes back")
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.0.as_mut().expect("it is there until it goes back")
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(mut connection) = self.0.take() else { return };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(async move {
                match timeout(PATIENCE, connection.ping()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) | Err(_) => drop(Object::take(connection)),
                }
            })),
            // The process ends.
            Err(_) => drop(Object::take(connection)),
        }
    }
}

/// Opens connections, and decides which may be used again.
struct Connector(PgConnectOptions);

/// Without the password, which sqlx shows with the options.
impl Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(options) = self;
        f.debug_struct("Connector")
            .field("host", &options.get_host())
            .field("port", &options.get_port())
            .field("username", &options.get_username())
            .field("database", &options.get_database())
            .finish_non_exhaustive()
    }
}

impl Manager for Connector {
    type Type = PgConnection;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<PgConnection, sqlx::Error> {
        self.0.connect().await
    }

    async fn recycle(&self, connection: &mut PgConnection, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        if metrics.age() > AGE_MAX {
            return Err(RecycleError::message("old"));
        }
        if metrics.last_used() > TRUSTED_FOR {
            connection.ping().await?;
        }
        Ok(())
    }
}

/// Runs `work` to its end even if the caller stops waiting.
///
/// A client that hangs up drops its handler. Dropped in the wrong moment, `sqlx` 0.8.4 to 0.9.0 leaves a connection inside
/// an open transaction (its issue 4385); and a transaction that is half done is worth finishing.
/// So every transaction runs inside this.
///
/// # Panics
/// When `work` panics.
pub async fn uninterrupted<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let (done, outcome) = oneshot::channel();
    let running = spawn(Box::pin(async move {
        // Fails when the caller has stopped waiting.
        let _ = done.send(work.await);
    }));
    match outcome.await {
        Ok(outcome) => outcome,
        Err(_) => match running.await {
            Ok(()) => unreachable!("it ends without an outcome only by a panic"),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        },
    }
}

/// A task of one type, whatever its work is: what runs tasks is compiled once, and not again for each kind of work.
fn spawn(work: BoxFuture<'static, ()>) -> JoinHandle<()> {
    tokio::spawn(work.in_current_span())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use std::time::Instant;

    use sandbox::Postgres;

    use super::*;

    #[test]
    fn a_pool_does_not_show_its_password() {
        let pool = Pool::new("postgres://ann:s3cret@db.example/hw".parse().unwrap(), 1);
        let shown = format!("{pool:?}");
        assert!(shown.contains("db.example") && !shown.contains("s3cret"), "{shown}");
    }

    /// Whoever would wait for that: half an hour.
    #[tokio::test]
    async fn a_connection_is_replaced_when_it_is_old() {
        let postgres = Postgres::start().await.unwrap();
        let connector = Connector(postgres.admin_url().as_str().parse().unwrap());
        let mut connection = connector.create().await.unwrap();
        let mut of_age = async |age: Duration| {
            let now = Instant::now();
            let created = now.checked_sub(age).unwrap();
            let metrics = Metrics { created, recycled: Some(now), recycle_count: 1 };
            connector.recycle(&mut connection, &metrics).await
        };
        of_age(AGE_MAX.saturating_sub(Duration::from_mins(1))).await.unwrap();
        assert!(matches!(of_age(AGE_MAX).await, Err(RecycleError::Message(_))));
        postgres.stop().await.unwrap();
    }
}
