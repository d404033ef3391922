//! The rows of the outbox, as the relay reads and deletes them: from the oldest on, and never more of them than it can use, however
//! many wait.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

/// Keys and bodies of a batch together, in bytes; the last may go beyond it. Well below what the producer holds, or it would refuse
/// the same batch again and again.
pub(crate) const BATCH_BYTES: i64 = 4 << 20;
/// Most messages that are counted: a backlog of hours must not keep the relay from working it off.
const BACKLOG_COUNTED: i64 = 100_000;

/// A message as it is stored.
#[derive(sqlx::FromRow)]
pub(crate) struct Row {
    pub(crate) id: i64,
    pub(crate) event_id: Uuid,
    pub(crate) topic: String,
    pub(crate) key: String,
    #[sqlx(rename = "type")]
    pub(crate) kind: String,
    pub(crate) subject: String,
    pub(crate) aggregate_version: Option<i64>,
    pub(crate) correlation_id: Uuid,
    pub(crate) causation_id: Option<String>,
    pub(crate) reply_to: Option<String>,
    pub(crate) traceparent: Option<String>,
    pub(crate) payload: String,
    pub(crate) created_at: DateTime<Utc>,
}

/// The oldest messages: a batch of at most `limit`.
pub(crate) async fn fetch_oldest(conn: &mut PgConnection, limit: i64) -> Result<Vec<Row>, sqlx::Error> {
    // The length of a stored text is known without reading it, so what does not fit costs nothing.
    sqlx::query_as(
        "select id, event_id, topic, key, type, subject, aggregate_version, correlation_id,
                coalesce(foreign_causation_id, causation_id::text) as causation_id, reply_to, traceparent, payload, created_at
         from (select *, sum(bytes) over (order by id) - bytes as bytes_before
               from (select *, octet_length(key) + octet_length(payload) as bytes
                     from outbox order by id limit $1) oldest) oldest
         where bytes_before < $2 order by id",
    )
    .bind(limit)
    .bind(BATCH_BYTES)
    .fetch_all(conn)
    .await
}

/// Deletes what was published.
pub(crate) async fn delete(conn: &mut PgConnection, ids: &[i64]) -> Result<(), sqlx::Error> {
    sqlx::query("delete from outbox where id = any($1)").bind(ids).execute(conn).await?;
    Ok(())
}

/// Tells how much is waiting and since when.
pub(crate) async fn measure_backlog(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    let (messages, age_seconds): (i64, f64) = sqlx::query_as(
        "select (select count(*) from (select from outbox limit $1) counted),
                coalesce((select extract(epoch from now() - created_at) from outbox order by id limit 1), 0)::float8",
    )
    .bind(BACKLOG_COUNTED)
    .fetch_one(conn)
    .await?;
    tell_backlog(messages, age_seconds);
    Ok(())
}

/// Tells it to the metrics.
pub(crate) fn tell_backlog(messages: i64, age_seconds: f64) {
    #[allow(clippy::cast_precision_loss, reason = "nobody counts past 2^52 rows")]
    metrics::gauge!("messaging_outbox_messages").set(messages as f64);
    metrics::gauge!("messaging_outbox_age_seconds").set(age_seconds);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use database::DatabaseSettings;
    use sandbox::Postgres;

    use super::*;

    /// A million messages, as one transaction appends them.
    const FILL: &str = "
        insert into outbox (event_id, topic, key, type, subject, correlation_id, payload)
        select gen_random_uuid(), 'notes', n::text, 'Noted', 'note/' || n, gen_random_uuid(), repeat('x', 200)
        from generate_series(1, 1000000) n";

    /// How many rows of the outbox were read so far.
    async fn rows_read(conn: &mut PgConnection) -> i64 {
        // A session tells when it has time, unless it is told to.
        sqlx::query("select pg_stat_force_next_flush()").execute(&mut *conn).await.unwrap();
        let question =
            "select seq_tup_read + idx_tup_fetch from pg_stat_user_tables where relname = 'outbox'";
        sqlx::query_scalar(question).fetch_one(conn).await.unwrap()
    }

    #[tokio::test]
    async fn of_a_million_messages_only_those_are_read_that_are_published() {
        let postgres = Postgres::start().await.unwrap();
        let database_url = postgres.admin_url().to_string();
        let pool = DatabaseSettings { database_url, database_connections: 1 }.pool("test").unwrap();
        let mut conn = pool.acquire().await.unwrap();
        sqlx::query("set statement_timeout = '1min'").execute(&mut *conn).await.unwrap();
        crate::migrations().run_direct(None, &mut *conn, false).await.unwrap();
        // The plans for an empty table are made and kept, as in a service that has run for long.
        for _ in 0..10 {
            assert!(fetch_oldest(&mut conn, 500).await.unwrap().is_empty());
            delete(&mut conn, &[1, 2, 3]).await.unwrap();
            measure_backlog(&mut conn).await.unwrap();
        }
        sqlx::query(FILL).execute(&mut *conn).await.unwrap();

        for round in 0..10 {
            let before = rows_read(&mut conn).await;
            let rows = fetch_oldest(&mut conn, 500).await.unwrap();
            let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
            assert!(ids.iter().copied().eq(round * 500 + 1..=(round + 1) * 500), "{ids:?}");
            delete(&mut conn, &ids).await.unwrap();
            let read = rows_read(&mut conn).await - before;
            assert!(read <= 2 * 500, "{read} rows were read to publish 500");
        }
        let before = rows_read(&mut conn).await;
        measure_backlog(&mut conn).await.unwrap();
        let read = rows_read(&mut conn).await - before;
        assert!(read <= BACKLOG_COUNTED + 1, "{read} rows were read to tell how many wait");
        postgres.stop().await.unwrap();
    }
}
