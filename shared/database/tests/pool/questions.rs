//! When a connection is asked for a sign of life, and when not: that is what this pool is for.

use std::time::Duration;

use database::Pool;
use sandbox::Postgres;
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::time::sleep;

use crate::wire::Wire;

/// PostgreSQL's Sync message, which is all that the question is.
const QUESTION: usize = 5;
/// Longer than a connection is trusted without a question.
const IDLE: Duration = Duration::from_millis(1_100);

async fn one(pool: &Pool) -> Result<i32, sqlx::Error> {
    pool.run(|conn| Box::pin(sqlx::query_scalar("select 1").fetch_one(conn))).await
}

/// What one statement, and the questions before it, send. The pool's only connection may be on its way back still.
async fn sent_by(wire: &Wire, pool: &Pool) -> usize {
    let before = wire.sent();
    assert_eq!(one(pool).await.unwrap(), 1);
    wire.sent() - before
}

#[tokio::test]
async fn a_connection_is_asked_only_when_it_was_dropped_or_idle() {
    let postgres = Postgres::start().await.unwrap();
    let options: PgConnectOptions = postgres.admin_url().as_str().parse().unwrap();
    let wire = Wire::to(&options).await;
    let pool = Pool::new(wire.options.clone(), 1);
    // Connects, and prepares the statement.
    one(&pool).await.unwrap();

    let unasked = sent_by(&wire, &pool).await;
    assert_eq!(sent_by(&wire, &pool).await, unasked, "the one before has given it back");

    drop(pool.acquire().await.unwrap());
    assert_eq!(sent_by(&wire, &pool).await, unasked + QUESTION, "the one before has dropped it");

    pool.acquire().await.unwrap().give_back();
    assert_eq!(sent_by(&wire, &pool).await, unasked, "the one before has given it back");

    sleep(IDLE).await;
    assert_eq!(sent_by(&wire, &pool).await, unasked + QUESTION, "it was idle");
    assert_eq!(sent_by(&wire, &pool).await, unasked, "it has just answered");
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
    sleep(IDLE).await;
    assert_eq!(one(&pool).await.unwrap(), 1);
    pool.close();
    postgres.stop().await.unwrap();
}
