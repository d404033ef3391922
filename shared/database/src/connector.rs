//! Opens connections, and decides which may be used again: those to a server that takes writes.

use std::fmt::{self, Debug};
use std::io;
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

/// A connection that was idle for so long may have been cut meanwhile.
const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// Older connections are replaced: a server process grows with what it has seen.
const AGE_MAX: Duration = Duration::from_mins(30);

/// The server answers, and is a standby: the address leads to another server than it should, as it does for a while when a standby
/// was promoted. Or somebody has made the database read-only.
#[derive(Debug, thiserror::Error)]
#[error("it takes no writes: it is a standby, or read-only")]
pub(crate) struct TakesNoWrites;

impl From<TakesNoWrites> for sqlx::Error {
    /// What connecting to a wrong server ends with.
    fn from(error: TakesNoWrites) -> Self {
        Self::Io(io::Error::other(error))
    }
}

/// Asks the server at the other end of `connection` whether it takes writes: `target_session_attrs=read-write`, as libpq calls
/// it. This is also the sign of life that is asked for, and it rolls a transaction back that was given up.
///
/// # Errors
/// When it takes none, or does not answer.
pub(crate) async fn demand_writes(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    // One message there, one back: a prepared statement would cost another round trip on each new connection.
    let answer = sqlx::raw_sql("show transaction_read_only").fetch_one(connection).await?;
    match answer.try_get(0)? {
        "off" => Ok(()),
        _ => Err(TakesNoWrites.into()),
    }
}

/// Opens connections, and decides which may be used again.
pub(crate) struct Connector(pub(crate) PgConnectOptions);

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
        let mut connection = self.0.connect().await?;
        match demand_writes(&mut connection).await {
            Ok(()) => Ok(connection),
            Err(error) => {
                // A server that says no is told goodbye; one that is gone need not be.
                let _ = connection.close().await;
                Err(error)
            }
        }
    }

    async fn recycle(&self, connection: &mut PgConnection, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        if metrics.age() > AGE_MAX {
            return Err(RecycleError::message("old"));
        }
        if metrics.last_used() > TRUSTED_FOR {
            demand_writes(connection).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use std::time::Instant;

    use sandbox::Postgres;

    use super::*;

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
