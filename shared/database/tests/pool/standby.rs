//! Servers that take no writes: a standby at the address of its primary, and a database that somebody has made read-only.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use database::Pool;
use sandbox::Postgres;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::time::sleep;

const READ_ONLY: &str = "it takes no writes: it is a standby, or read-only";
/// For everything that is expected to happen. Only a failure takes that long.
const DEADLINE: Duration = Duration::from_secs(30);
const CONNECTIONS: u32 = 3;

async fn run(pool: &Pool, statement: &'static str) -> Result<(), sqlx::Error> {
    pool.run(move |conn| Box::pin(async move { sqlx::raw_sql(statement).execute(conn).await.map(drop) }))
        .await
}

#[tokio::test]
async fn a_standby_gets_no_connection_and_a_switchover_leaves_none_behind() {
    let mut postgres = Postgres::start_with_standby().await.unwrap();
    let standby: PgConnectOptions = postgres.standby_url().unwrap().as_str().parse().unwrap();
    let pool = Pool::new(standby, 1);
    for refused in [pool.acquire().await.map(drop), pool.connect().await.map(drop), pool.ping().await] {
        let error = refused.unwrap_err();
        assert_eq!(database::condition(&error), READ_ONLY);
        assert_eq!(database::chain(&error), format!("error communicating with database: {READ_ONLY}"));
    }

    let address: PgConnectOptions = postgres.admin_url().as_str().parse().unwrap();
    let pool = Pool::new(address, CONNECTIONS);
    run(&pool, "create table counter (n int)").await.unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let busy: Vec<_> = (0..2 * CONNECTIONS)
        .map(|_| {
            let (pool, over) = (pool.clone(), Arc::clone(&over));
            tokio::spawn(async move {
                // As services do: what fails is tried again. Reads, too, since a standby would answer them.
                while !over.load(Ordering::SeqCst) {
                    let _ = run(&pool, "select count(*) from counter").await;
                    let _ = run(&pool, "insert into counter values (1)").await;
                    sleep(Duration::from_millis(5)).await;
                }
            })
        })
        .collect();
    postgres.switch_over(Duration::from_secs(2)).await.unwrap();
    // What was asked of the standby may be under way.
    sleep(Duration::from_millis(500)).await;
    for _ in 0..50 {
        run(&pool, "insert into counter values (1)").await.unwrap();
    }
    over.store(true, Ordering::SeqCst);
    for busy in busy {
        busy.await.unwrap();
    }
    pool.close();
    postgres.stop().await.unwrap();
}

/// Sets the default of every session of the server, also of those that there are.
async fn make_read_only(admin: &mut PgConnection, value: &str) {
    let change = format!("alter system set default_transaction_read_only = {value}");
    sqlx::raw_sql(AssertSqlSafe(change)).execute(&mut *admin).await.unwrap();
    sqlx::raw_sql("select pg_reload_conf()").execute(admin).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_may_not_write_does_not_go_back_and_is_not_opened_again() {
    let postgres = Postgres::start_private().await.unwrap();
    let mut admin = PgConnection::connect(postgres.admin_url().as_str()).await.unwrap();
    let options: PgConnectOptions = postgres.admin_url().as_str().parse().unwrap();
    let pool = Pool::new(options.application_name("pool"), 1);
    run(&pool, "create table counter (n int)").await.unwrap();

    make_read_only(&mut admin, "on").await;
    // A connection in use is trusted until it meets what it may not do.
    let deadline = Instant::now() + DEADLINE;
    while run(&pool, "insert into counter values (1)").await.is_ok() {
        assert!(Instant::now() < deadline, "it is never read-only");
    }
    let error = run(&pool, "select 1").await.unwrap_err();
    assert_eq!(database::condition(&error), READ_ONLY);
    let sessions = "select count(*) from pg_stat_activity where application_name = 'pool'";
    while sqlx::query_scalar::<_, i64>(sessions).fetch_one(&mut admin).await.unwrap() > 0 {
        assert!(Instant::now() < deadline, "the connection is kept");
    }

    make_read_only(&mut admin, "off").await;
    while let Err(error) = run(&pool, "insert into counter values (1)").await {
        assert!(Instant::now() < deadline, "{error}");
    }
    pool.close();
    postgres.stop().await.unwrap();
}
