//! The inbox (idempotent receiver): a message's id is stored in the transaction of its effect, so that a message which comes
//! again, from a relay that crashed or a partition that changed hands, has no second effect.

use std::collections::HashSet;
use std::convert::Infallible;
use std::time::Duration;

use chrono::{DateTime, Utc};
use database::{Pool, chain};
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query::QueryAs;
use sqlx::{FromRow, Postgres};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use uuid::Uuid;

use crate::mistake;

/// How long a message is remembered: longer than a topic that passes keeps it. What a topic keeps for ever and is read again
/// after that meets the natural keys of its effects.
const KEPT: Duration = Duration::from_hours(14 * 24);
/// How often the older ones are purged.
const PURGE_INTERVAL: Duration = Duration::from_hours(1);
/// How many at once: a statement may take only so long, and what it deletes is written to the log.
const PURGED_AT_ONCE: i64 = 1000;

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

/// Forgets what is too old to come again, from time to time; never ends. It runs beside the consumer, on a connection of its own.
pub(crate) async fn purge_for_ever(pool: Pool, consumer: &'static str) -> Infallible {
    let mut rounds = interval(PURGE_INTERVAL);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        match purge(&pool, consumer, Utc::now() - KEPT).await {
            Ok(0) => {}
            Ok(purged) => tracing::info!(consumer, purged, "the inbox has forgotten old messages"),
            Err(error) => tracing::warn!(consumer, error = chain(&error), "the inbox is not purged yet"),
        }
    }
}

/// Forgets what `consumer` has received before `until`; says how many messages that were.
///
/// # Errors
/// When the database fails. What was forgotten before stays forgotten.
pub(crate) async fn purge(
    pool: &Pool,
    consumer: &'static str,
    until: DateTime<Utc>,
) -> Result<usize, sqlx::Error> {
    Ok(purge_ours(pool, consumer, until).await? + purge_foreign(pool, consumer, until).await?)
}

/// `UUIDv7`s begin with their time, so the oldest are at the beginning of the primary key. Each batch begins where the one before ended:
/// what is deleted stays in the index for a while, and is not looked at again.
async fn purge_ours(pool: &Pool, consumer: &'static str, until: DateTime<Utc>) -> Result<usize, sqlx::Error> {
    let first_kept = Uuid::from_u128(u128::try_from(until.timestamp_millis()).unwrap_or(0) << 80);
    let (mut purged, mut after) = (0, Uuid::nil());
    loop {
        // Also by when it came: not every id that looks like an old one is a `UUIDv7`. That is asked of the oldest alone.
        // If it is asked of all, the planner takes id and time for independent, expects far fewer rows than there are, and may read all
        // that are due for each batch.
        let purge = sqlx::query_as(
            "with oldest as (
                 select event_id from inbox where consumer = $1 and event_id > $2 and event_id < $3
                 order by event_id limit $5),
             forgotten as (
                 delete from inbox
                 where consumer = $1 and event_id = any(array(select event_id from oldest)) and received_at < $4
                 returning event_id)
             select event_id, forgotten.event_id is not null from oldest left join forgotten using (event_id)",
        );
        let purge = purge.bind(consumer).bind(after).bind(first_kept).bind(until).bind(PURGED_AT_ONCE);
        let batch: Vec<(Uuid, bool)> = purge_batch(pool, purge).await?;
        purged += batch.iter().filter(|(_, forgotten)| *forgotten).count();
        match batch.into_iter().map(|(id, _)| id).max() {
            Some(last) => after = last,
            None => return Ok(purged),
        }
    }
}

async fn purge_foreign(
    pool: &Pool,
    consumer: &'static str,
    until: DateTime<Utc>,
) -> Result<usize, sqlx::Error> {
    let mut purged = 0;
    loop {
        let purge = sqlx::query_as(
            "delete from inbox where consumer = $1 and event_id = any(array(
                 select event_id from inbox
                 where consumer = $1 and received_at < $2 and (get_byte(uuid_send(event_id), 6) >> 4) <> 7
                 order by received_at limit $3))
             returning event_id",
        );
        let purge = purge.bind(consumer).bind(until).bind(PURGED_AT_ONCE);
        let batch: Vec<(Uuid,)> = purge_batch(pool, purge).await?;
        if batch.is_empty() {
            return Ok(purged);
        }
        purged += batch.len();
    }
}

/// Deletes one batch, and then leaves the database to others for four times as long as that took.
async fn purge_batch<Row>(
    pool: &Pool,
    purge: QueryAs<'static, Postgres, Row, PgArguments>,
) -> Result<Vec<Row>, sqlx::Error>
where
    Row: for<'r> FromRow<'r, PgRow> + Send + Unpin + 'static,
{
    let began = Instant::now();
    let batch = pool.run(|conn| Box::pin(purge.fetch_all(conn))).await?;
    sleep(4 * began.elapsed()).await;
    Ok(batch)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use sandbox::Postgres as Server;

    use super::*;

    /// A million messages of two years, of which those of the last two weeks are kept, and 2,000 ids that are no `UUIDv7`.
    const FILL: &str = "
        insert into inbox (consumer, event_id, received_at)
        select 'reader', (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7'
                          || substr(md5(n::text), 1, 3) || 'a' || substr(md5(n::text), 4, 15))::uuid, at
        from (select n, now() - interval '2 years' * n / 1000000 as at from generate_series(1, 1000000) n) ours
        union all
        select 'reader', (substr(md5(n::text), 1, 12) || '5' || substr(md5(n::text), 14, 3)
                          || 'a' || substr(md5(n::text), 18, 15))::uuid,
               now() - case when n <= 1000 then interval '15 days' else interval '1 day' end
        from generate_series(1, 2000) n";

    async fn number(pool: &Pool, question: &'static str) -> i64 {
        sqlx::query_scalar(question).fetch_one(&mut *pool.acquire().await.unwrap()).await.unwrap()
    }

    /// How many rows of the inbox were read so far, as soon as that is at least `expected`: a session tells when it ends.
    async fn rows_read(pool: &Pool, expected: i64) -> i64 {
        let question = "select seq_tup_read + idx_tup_fetch from pg_stat_user_tables where relname = 'inbox'";
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let read = number(pool, question).await;
            if read >= expected {
                return read;
            }
            assert!(Instant::now() < until, "{read} of {expected}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test]
    async fn the_purge_forgets_what_is_old_and_reads_no_more_than_that() {
        let postgres = Server::start().await.unwrap();
        let pool = || Pool::new(postgres.admin_url().as_str().parse().unwrap(), 1);
        let filling = pool();
        {
            let mut conn = filling.acquire().await.unwrap();
            crate::migrations().run_direct(None, &mut *conn, false).await.unwrap();
            sqlx::query(FILL).execute(&mut *conn).await.unwrap();
            sqlx::query("analyze inbox").execute(&mut *conn).await.unwrap();
        }
        let due =
            number(&filling, "select count(*) from inbox where received_at < now() - interval '710 days'");
        let due = due.await;
        filling.close();
        let watching = pool();
        let before = rows_read(&watching, 1_000_000).await;

        // Only the oldest: if it read the others too, or these more than once, it would show.
        let purging = pool();
        let until = Utc::now() - Duration::from_hours(24 * 710);
        let purged = i64::try_from(purge(&purging, "reader", until).await.unwrap()).unwrap();
        purging.close();
        assert!((purged - due).abs() < 10 && due > 20_000, "{purged} of {due}");
        let read = rows_read(&watching, before + purged).await - before;
        // Each is read to be found, and again to be deleted.
        assert!(read < 3 * purged, "{read} rows were read for {purged}");
        postgres.stop().await.unwrap();
    }

    #[tokio::test]
    async fn an_id_that_is_no_uuid_of_version_7_is_forgotten_by_when_it_came() {
        let postgres = Server::start().await.unwrap();
        let pool = Pool::new(postgres.admin_url().as_str().parse().unwrap(), 2);
        {
            let mut conn = pool.acquire().await.unwrap();
            crate::migrations().run_direct(None, &mut *conn, false).await.unwrap();
            sqlx::query(FILL).execute(&mut *conn).await.unwrap();
        }
        let foreign = "select count(*) from inbox where (get_byte(uuid_send(event_id), 6) >> 4) <> 7";
        let young = "select count(*) from inbox where received_at > now() - interval '699 days'";
        assert_eq!(number(&pool, foreign).await, 2000);
        let before = number(&pool, young).await;
        purge(&pool, "reader", Utc::now() - Duration::from_hours(24 * 700)).await.unwrap();
        assert_eq!((number(&pool, foreign).await, number(&pool, young).await), (2000, before));
        assert_eq!(purge_foreign(&pool, "reader", Utc::now() - KEPT).await.unwrap(), 1000);
        assert_eq!(number(&pool, foreign).await, 1000);
        postgres.stop().await.unwrap();
    }
}
