//! The inbox (idempotent receiver): a message's id is stored in the transaction of its effect, so that a message which comes
//! again, from a relay that crashed or a partition that changed hands, has no second effect.

use std::collections::HashSet;
use std::time::Duration;

use database::Pool;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::mistake;

/// How long a message is remembered: longer than a topic that passes keeps it. What a topic keeps for ever and is read again
/// after that meets the natural keys of its effects.
const KEPT: Duration = Duration::from_hours(14 * 24);
/// How often the older ones are purged.
pub(crate) const PURGE_INTERVAL: Duration = Duration::from_hours(1);
/// How many at once: nothing is consumed meanwhile, and a statement may take only so long.
const PURGED_AT_ONCE: i64 = 5000;
/// When it goes on if that was not all.
pub(crate) const PURGE_PAUSE: Duration = Duration::from_secs(1);

/// Claims `ids` for `consumer`; says which of them are new. Waits while another transaction claims one of them.
pub(crate) async fn claim(
    conn: &mut PgConnection,
    consumer: &str,
    ids: &[Uuid],
) -> Result<HashSet<Uuid>, sqlx::Error> {
    if mistake::is_made("mistake::no_inbox") {
        return Ok(ids.iter().copied().collect());
    }
    // In one order, so that two that claim the same messages wait for each other and do not deadlock.
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    let new = sqlx::query_scalar(
        "insert into inbox (consumer, event_id) select $1, unnest($2::uuid[]) on conflict do nothing
         returning event_id",
    )
    .bind(consumer)
    .bind(sorted)
    .fetch_all(conn)
    .await?;
    Ok(new.into_iter().collect())
}

/// Forgets some of what is too old to come again; says whether there may be more.
pub(crate) async fn purge(pool: &Pool, consumer: &'static str) -> bool {
    let purge = sqlx::query(
        "delete from inbox where consumer = $1 and event_id in (
             select event_id from inbox
             where consumer = $1 and received_at < now() - $2 * interval '1 second' limit $3)",
    );
    let purge = purge.bind(consumer).bind(KEPT.as_secs_f64()).bind(PURGED_AT_ONCE);
    match pool.run(|conn| Box::pin(purge.execute(conn))).await {
        Ok(purged) => i64::try_from(purged.rows_affected()).is_ok_and(|purged| purged >= PURGED_AT_ONCE),
        Err(error) => {
            tracing::warn!(consumer, %error, "the inbox is not purged yet");
            false
        }
    }
}
