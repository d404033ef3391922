//! Brings tables up to date while others use them.

use std::time::Duration;

use database::Pool;
use sqlx::error::DatabaseError;
use sqlx::migrate::{MigrateError, Migrator};
use tokio::time::sleep;

use crate::error::StoreError;

/// How long the table is left to others before the next try: most of the time is theirs.
const LOCK_PAUSE: Duration = Duration::from_secs(2);

/// Brings tables up to date. Safe to run by several replicas at once, and beside an older version that works on the tables.
///
/// A table that somebody holds, as `pg_dump` does for hours, is waited for in short tries, for as long as it takes: PostgreSQL
/// has everybody queue behind a migration that waits.
///
/// # Errors
/// When the database is away, or a migration fails by itself.
pub async fn migrate(pool: &Pool, migrator: &Migrator) -> Result<(), StoreError> {
    loop {
        match try_once(pool, migrator).await {
            Err(StoreError::Migrate(error)) if is_held_up(&error) => {
                tracing::warn!(
                    error = database::chain(&error),
                    again_in = ?LOCK_PAUSE,
                    "the migration waits for a lock that others hold"
                );
                sleep(LOCK_PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

async fn try_once(pool: &Pool, migrator: &Migrator) -> Result<(), StoreError> {
    let mut conn = pool.acquire().await?;
    // A migration may take its time, but not wait for others, the replica that is already at it among them. Whatever else wants the
    // table waits behind it, and a statement of a service may take 2 s.
    sqlx::query("set statement_timeout = 0").execute(&mut *conn).await?;
    sqlx::query("set lock_timeout = '1s'").execute(&mut *conn).await?;
    // What `Migrator::run` calls; the future of that one cannot be seen to be `Send` (sqlx says so where it is defined).
    if let Err(error) = migrator.run_direct(None, &mut *conn, false).await {
        // It may still hold the migrator's own lock.
        let _ = conn.close().await;
        return Err(error.into());
    }
    sqlx::query("reset statement_timeout").execute(&mut *conn).await?;
    sqlx::query("reset lock_timeout").execute(&mut *conn).await?;
    Ok(())
}

/// Whether the only thing wrong is a lock that others hold: `lock_not_available`.
fn is_held_up(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else {
        return false;
    };
    error.as_database_error().and_then(DatabaseError::code).is_some_and(|code| code == "55P03")
}
