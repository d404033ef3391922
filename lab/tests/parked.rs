//! A table that one style alone has, at a size that no case of the end-to-end suite reaches. The test is here since `cargo test` takes the
//! styles from here, and none alone.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::ops::Range;

use domain::UserId;
use event_collab::{parked, replica};
use sandbox::Postgres;
use sqlx::PgConnection;
use store::DatabaseSettings;

/// Emails of each of a third of a million users of whom nobody has heard, and as many users who wait for none.
const FILL: &str = "
    insert into parked_emails (order_id, user_id, request_id, title, message)
    select n, n / 3, gen_random_uuid(), 't', 'm' from generate_series(1, 1000000) n;
    insert into user_replica (id, username, email, version)
    select 1000000 + n, 'u' || n, 'a@example.org', 1 from generate_series(1, 333333) n";
/// Those of whom it hears then.
const HEARD: Range<i64> = 200_000..200_100;

/// How many rows were read so far.
async fn rows_read(conn: &mut PgConnection) -> i64 {
    // A session tells when it has time, unless it is told to.
    sqlx::query("select pg_stat_force_next_flush()").execute(&mut *conn).await.unwrap();
    let question = "select sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint from pg_stat_user_tables
                    where relname in ('parked_emails', 'user_replica', 'emails')";
    sqlx::query_scalar(question).fetch_one(conn).await.unwrap()
}

#[tokio::test]
async fn of_a_million_parked_emails_only_those_are_read_that_are_released() {
    let postgres = Postgres::start().await.unwrap();
    let database_url = postgres.admin_url().to_string();
    let pool = DatabaseSettings { database_url, database_connections: 1 }.pool("test").unwrap();
    let mut conn = pool.acquire().await.unwrap();
    sqlx::query("set statement_timeout = '1min'").execute(&mut *conn).await.unwrap();
    for migrations in [store::notification::migrations(), parked::migrations(), replica::migrations()] {
        migrations.run_direct(None, &mut *conn, false).await.unwrap();
    }
    // The plans for empty tables are made and kept, as in a service that has run for long.
    for _ in 0..10 {
        parked::release(&mut conn, HEARD.map(UserId)).await.unwrap();
    }
    sqlx::raw_sql(FILL).execute(&mut *conn).await.unwrap();
    let before = rows_read(&mut conn).await;
    parked::release(&mut conn, (1_000_001..1_000_101).map(UserId)).await.unwrap();
    let read = rows_read(&mut conn).await - before;
    assert_eq!(read, 0, "rows were read to release nothing");

    let hear = "insert into user_replica (id, username, email, version)
                select n, 'u' || n, 'a@example.org', 1 from generate_series(200000, 200099) n";
    sqlx::query(hear).execute(&mut *conn).await.unwrap();
    let before = rows_read(&mut conn).await;
    parked::release(&mut conn, HEARD.map(UserId)).await.unwrap();
    let read = rows_read(&mut conn).await - before;
    let sent: i64 = sqlx::query_scalar("select count(*) from emails").fetch_one(&mut *conn).await.unwrap();
    assert_eq!(sent, 300);
    // Each is read to be released, and so is its address.
    assert!(read <= 4 * sent, "{read} rows were read to release {sent}");
    postgres.stop().await.unwrap();
}
