//! PostgreSQL: one module and one migrations folder per owning service.
//!
//! Functions take `&mut PgConnection`, so that a style decides what shares a transaction. A style that runs on these
//! tables cannot reach another service's: each service has a schema and a role of its own (see [`provision`]).

use std::future::Future;
use std::time::Duration;

use clap::Args;
use sqlx::ConnectOptions as _;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use tracing::Instrument as _;
use tracing::log::LevelFilter;

pub mod billing;
mod mistake;
pub mod notification;
pub mod order;
pub mod provision;

/// A statement failed, or the database could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// PostgreSQL or the way to it.
    #[error("database error")]
    Database(#[from] sqlx::Error),
    /// A stored value does not decode: the table was written by somebody else.
    #[error("stored value does not decode")]
    Corrupt(#[from] serde_json::Error),
    /// The address of the database does not parse. It is not shown: it has a password.
    #[error("DATABASE_URL is not an address like postgres://role:password@host/database")]
    Url,
    /// The service's migrations could not be applied.
    #[error("migration failed")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

impl StoreError {
    /// Whether the same call may succeed later, since it is the database that is not as it should be (out of reach or out of
    /// connections, a standby, another password, a permission that is missing) and not what it was asked.
    pub fn is_unavailable(&self) -> bool {
        match self {
            // Class 21 cardinality violation, 22 data exception, 23 integrity constraint violation, 54 program limit
            // exceeded (PostgreSQL's appendix A): about the values of this call.
            Self::Database(sqlx::Error::Database(error)) => error
                .code()
                .is_none_or(|code| !["21", "22", "23", "54"].iter().any(|class| code.starts_with(class))),
            Self::Database(
                sqlx::Error::Encode(_)
                | sqlx::Error::Decode(_)
                | sqlx::Error::ColumnDecode { .. }
                | sqlx::Error::RowNotFound
                | sqlx::Error::InvalidArgument(_),
            )
            | Self::Corrupt(_)
            | Self::Url
            | Self::Migrate(_) => false,
            Self::Database(_) => true,
        }
    }
}

/// What a request that may be a repeat led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Once<T> {
    /// It was the first: this is its effect.
    Done(T),
    /// It was made before: this is what came of it then.
    Repeated(T),
    /// The same request id came with other content before. Nothing was done.
    Reused,
}

/// Where a service's tables are.
#[derive(Clone, Debug, Args)]
pub struct DatabaseSettings {
    /// PostgreSQL, as the service's own role, whose search path is its schema: `postgres://role:password@host/database`.
    // A string, since an error about a value of another type would show it, password and all.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: String,

    /// Most connections to hold.
    #[arg(long, env = "DATABASE_CONNECTIONS", default_value_t = 10)]
    pub database_connections: u32,
}

impl DatabaseSettings {
    /// A pool of connections, opened as they are needed. `service` shows in `pg_stat_activity`.
    ///
    /// # Errors
    /// When the URL is not a PostgreSQL address.
    pub fn pool(&self, service: &str) -> Result<PgPool, StoreError> {
        let options: PgConnectOptions = self.database_url.parse().map_err(|_| StoreError::Url)?;
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
        Ok(PgPoolOptions::new()
            .max_connections(self.database_connections)
            .acquire_timeout(Duration::from_secs(2))
            // A ping per acquire costs a round trip; a broken connection shows at its first statement instead.
            .test_before_acquire(false)
            .connect_lazy_with(options))
    }
}

/// Runs `work` to its end even if the caller stops waiting.
///
/// A client that hangs up drops its handler. Dropped in the wrong moment, sqlx 0.8.4 to 0.9.0 gives a connection back to
/// the pool inside an open transaction (sqlx issue 4385); and a transaction that is half done is worth finishing.
/// So every transaction runs inside this.
///
/// # Panics
/// When `work` panics.
pub async fn uninterrupted<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(work.in_current_span()).await {
        Ok(outcome) => outcome,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Brings tables up to date. Safe to run by several replicas at once.
pub async fn migrate(pool: &PgPool, migrator: &Migrator) -> Result<(), StoreError> {
    let mut conn = pool.acquire().await?;
    // A migration may take its time, and so may waiting for the replica that is already at it.
    sqlx::query("set statement_timeout = 0").execute(&mut *conn).await?;
    migrator.run(&mut *conn).await?;
    sqlx::query("reset statement_timeout").execute(&mut *conn).await?;
    Ok(())
}

/// Whether the database answers: one trivial statement.
pub async fn ping(pool: &PgPool) -> Result<(), StoreError> {
    let pool = pool.clone();
    uninterrupted(async move { sqlx::query("select 1").execute(&pool).await }).await?;
    Ok(())
}
