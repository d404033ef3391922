//! The pool itself: who gets a connection, and what happens to one that comes back.

use std::io;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{Manager as _, Object, PoolError, QueueMode, TimeoutType};
use futures_util::future::BoxFuture;
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::connector::{Connector, demand_writes};
use crate::uninterrupted::uninterrupted;

/// How long a service waits for a connection: for one that others use, or for the server to open one.
const PATIENCE: Duration = Duration::from_secs(2);

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

    /// A connection. Dropped, it is asked whether its server takes writes before it goes back, which also rolls a transaction back
    /// that was given up. So one that met a standby, or is cut, does not go back.
    ///
    /// # Errors
    /// `PoolTimedOut` when there is none in time, `PoolClosed` after [`Self::close`], and what connecting can end with: among that,
    /// that the server takes no writes.
    pub fn acquire(&self) -> BoxFuture<'_, Result<Connection, sqlx::Error>> {
        Box::pin(async move {
            match self.0.get().await {
                Ok(slot) => Ok(Connection(Some(slot))),
                Err(PoolError::Backend(error)) => Err(error),
                Err(PoolError::Closed) => Err(sqlx::Error::PoolClosed),
                Err(PoolError::Timeout(TimeoutType::Create)) => Err(no_answer()),
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

    /// Asks whether the server is there and takes writes.
    ///
    /// # Errors
    /// As [`Self::acquire`].
    pub fn ping(&self) -> BoxFuture<'_, Result<(), sqlx::Error>> {
        Box::pin(self.run(|connection| Box::pin(demand_writes(connection))))
    }

    /// A connection that is not part of the pool, for whoever keeps one: like those of the pool, to a server that takes writes.
    ///
    /// # Errors
    /// What connecting can end with.
    pub fn connect(&self) -> BoxFuture<'_, Result<PgConnection, sqlx::Error>> {
        Box::pin(async {
            timeout(PATIENCE, self.0.manager().create()).await.unwrap_or_else(|_| Err(no_answer()))
        })
    }

    /// Where the connections lead.
    pub fn connect_options(&self) -> &PgConnectOptions {
        &self.0.manager().0
    }

    /// Closes the connections, those that are in use when they come back.
    pub fn close(&self) {
        self.0.close();
    }
}

fn no_answer() -> sqlx::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("the server did not answer within {PATIENCE:?}")).into()
}

/// A connection of a pool.
pub struct Connection(Option<Object<Connector>>);

impl Connection {
    /// Closes it, whatever its session still holds.
    pub async fn close(mut self) -> Result<(), sqlx::Error> {
        match self.0.take() {
            Some(slot) => Object::take(slot).close().await,
            None => Ok(()),
        }
    }

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
                match timeout(PATIENCE, demand_writes(&mut connection)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) | Err(_) => drop(Object::take(connection)),
                }
            })),
            // The process ends.
            Err(_) => drop(Object::take(connection)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use super::*;

    #[test]
    fn a_pool_does_not_show_its_password() {
        let pool = Pool::new("postgres://ann:s3cret@db.example/hw".parse().unwrap(), 1);
        let shown = format!("{pool:?}");
        assert!(shown.contains("db.example") && !shown.contains("s3cret"), "{shown}");
    }
}
