//! When a connection is asked whether its server takes writes, and when not: that is what this pool is for.

use std::time::{Duration, Instant};

use database::Pool;
use sandbox::Postgres;
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::time::sleep;

use crate::wire::Wire;

/// What the question takes on the wire, PostgreSQL's Query message: its type, its length, the text and a zero.
const QUESTION: usize = 1 + 4 + "show transaction_read_only".len() + 1;
/// How long a connection is trusted without one.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

async fn one(pool: &Pool) -> Result<i32, sqlx::Error> {
    pool.run(|conn| Box::pin(sqlx::query_scalar("select 1").fetch_one(conn))).await
}

/// What one statement sends, and `before` it since the one before. Done again if a busy machine takes so long for it that the
/// connection was idle.
async fn sent_after(wire: &Wire, pool: &Pool, before: impl AsyncFn()) -> usize {
    loop {
        one(pool).await.unwrap();
        let (started, sent) = (Instant::now(), wire.sent());
        before().await;
        one(pool).await.unwrap();
        if started.elapsed() < TRUSTED_FOR / 2 {
            return wire.sent() - sent;
        }
    }
}

#[tokio::test]
async fn a_connection_is_asked_only_when_it_was_dropped_or_idle() {
    let postgres = Postgres::start().await.unwrap();
    let options: PgConnectOptions = postgres.admin_url().as_str().parse().unwrap();
    let wire = Wire::to(&options).await;
    let pool = Pool::new(wire.options.clone(), 1);
    let unasked = sent_after(&wire, &pool, async || {}).await;
    let given_back = sent_after(&wire, &pool, async || pool.acquire().await.unwrap().give_back()).await;
    assert_eq!(given_back, unasked);
    let dropped = sent_after(&wire, &pool, async || drop(pool.acquire().await.unwrap())).await;
    assert_eq!(dropped, unasked + QUESTION);

    let sent = wire.sent();
    sleep(TRUSTED_FOR + Duration::from_millis(100)).await;
    one(&pool).await.unwrap();
    assert_eq!(wire.sent() - sent, unasked + QUESTION);
    // It has just answered.
    assert_eq!(sent_after(&wire, &pool, async || {}).await, unasked);
    pool.close();
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_connection_that_was_cut_while_idle_is_replaced_and_nobody_notices() {
    let postgres = Postgres::start().await.unwrap();
    let options: PgConnectOptions = postgres.admin_url().as_str().parse().unwrap();
    let pool = Pool::new(options.application_name("idle"), 1);
    one(&pool).await.unwrap();
    let mut admin = PgConnection::connect(postgres.admin_url().as_str()).await.unwrap();
    let cut = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'idle'";
    assert!(sqlx::query_scalar::<_, bool>(cut).fetch_one(&mut admin).await.unwrap());
    sleep(TRUSTED_FOR + Duration::from_millis(100)).await;
    assert_eq!(one(&pool).await.unwrap(), 1);
    pool.close();
    postgres.stop().await.unwrap();
}
