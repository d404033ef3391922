//! Connections to the store: what is left in them, what their errors mean, and how long a migration may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use domain::{Balance, UserId};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Connection as _, SqlSafeStr as _};
use store::billing::{self, Withdrawal};
use store::{Pool, StoreError};
use tokio::time::timeout;

use crate::world::{Fresh, amount, pool, process, request, until_waiting, user_with};

/// sqlx issue 4385: a transaction dropped while it begins must not poison the only connection.
#[tokio::test]
async fn a_caller_that_gives_up_does_not_leave_the_only_connection_in_a_transaction() {
    let fresh = Fresh::start().await;
    let pool = fresh.billing(1).await;
    let user_id = user_with(&pool, 1_000).await;
    let mut admin = fresh.admin().await;
    for patience_us in (0..2_000).step_by(20) {
        let shared = pool.clone();
        let work = shared.transaction(move |tx| {
            let withdrawal = Withdrawal { user_id, amount: amount(1), order_id: None };
            Box::pin(billing::withdraw(tx, request(), withdrawal))
        });
        // Gives up somewhere between the first byte of `begin` and the last of `commit`.
        drop(timeout(Duration::from_micros(patience_us), work).await);
        // Whoever gets the only connection next gets it outside of any transaction: PostgreSQL says so to somebody else.
        pool.ping().await.unwrap();
        let state: String = sqlx::query_scalar(
            "select state from pg_stat_activity where datname = current_database() and application_name = 'test'",
        )
        .fetch_one(&mut admin)
        .await
        .unwrap();
        assert_eq!(state, "idle", "after {patience_us} us");
    }
    // What was begun was finished: each of the hundred took its unit.
    let user = billing::find_user(&mut pool.acquire().await.unwrap(), user_id).await.unwrap().unwrap();
    assert_eq!(user.balance, Balance(900));
    fresh.stop().await;
}

#[tokio::test]
async fn a_database_that_is_away_does_not_answer() {
    let fresh = Fresh::start().await;
    let pool = fresh.billing(1).await;
    pool.ping().await.unwrap();
    pool.close();
    pool.ping().await.unwrap_err();
    fresh.stop().await;
}

#[tokio::test]
async fn an_error_about_what_was_asked_is_told_from_one_of_the_database() {
    let fresh = Fresh::start().await;
    let pool = fresh.billing(1).await;
    let mut conn = pool.acquire().await.unwrap();
    let statements = [
        ("select (select 1 union select 2)", false),
        ("select 1 / 0", false),
        ("insert into accounts (user_id) values (1)", false),
        // A column for each of 2,000 values: PostgreSQL has 1,664.
        (&*format!("select {}", vec!["1"; 2_000].join(", ")), false),
        ("select * from missing", true),
        ("create table public.t ()", true),
        ("do $$ begin perform pg_sleep(1); end $$", true),
    ];
    sqlx::query("set statement_timeout = '50ms'").execute(&mut *conn).await.unwrap();
    for (statement, unavailable) in statements {
        let error = sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(&mut *conn).await;
        let error = StoreError::from(error.map(drop).expect_err(statement));
        assert_eq!(error.is_unavailable(), unavailable, "{error:?}");
    }
    let row: Result<i64, _> = sqlx::query_scalar("select 'text'").fetch_one(&mut *conn).await;
    assert!(!StoreError::from(row.unwrap_err()).is_unavailable());
    let row: Result<i64, _> = sqlx::query_scalar("select 1::bigint where false").fetch_one(&mut *conn).await;
    assert!(!StoreError::from(row.unwrap_err()).is_unavailable());
    assert!(StoreError::from(sqlx::Error::PoolTimedOut).is_unavailable());
    assert!(!StoreError::from(serde_json::from_str::<i64>("x").unwrap_err()).is_unavailable());
    drop(conn);
    fresh.stop().await;
}

/// As `pg_dump` does it, for as long as it takes.
#[tokio::test]
async fn a_migration_waits_for_a_table_that_is_read_and_leaves_it_to_the_older_version_meanwhile() {
    let fresh = Fresh::start().await;
    let old = fresh.billing(1).await;
    let user_id = user_with(&old, 1_000).await;
    let mut admin = fresh.admin().await;
    let mut dump = admin.begin().await.unwrap();
    sqlx::query("lock table billing.accounts in access share mode").execute(&mut *dump).await.unwrap();

    let new = pool(&fresh.databases.services["billing"], 1);
    let change = Migration::new(
        1,
        "room".into(),
        MigrationType::Simple,
        "alter table accounts add column room int".into_sql_str(),
        false,
    );
    let mut migrator = Migrator::with_migrations(vec![change]);
    migrator.dangerous_set_table_name("_room_migrations");
    let (migrated, pg_dump_is_done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let migration = tokio::spawn({
        let (migrated, pg_dump_is_done) = (Arc::clone(&migrated), Arc::clone(&pg_dump_is_done));
        async move {
            store::migrate(&new, &migrator).await.unwrap();
            assert!(pg_dump_is_done.load(Ordering::SeqCst), "the table was not locked at all");
            migrated.store(true, Ordering::SeqCst);
        }
    });
    // Longer than a statement may take, and than a try with the pause after it.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(5) {
        withdraw(&old, user_id).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    pg_dump_is_done.store(true, Ordering::SeqCst);
    dump.commit().await.unwrap();
    while !migrated.load(Ordering::SeqCst) && !migration.is_finished() {
        withdraw(&old, user_id).await;
    }
    migration.await.unwrap();
    sqlx::query("select room from accounts").execute(&mut *old.acquire().await.unwrap()).await.unwrap();
    fresh.stop().await;
}

/// What a service does all the time.
async fn withdraw(pool: &Pool, user_id: UserId) {
    let withdrawal = Withdrawal { user_id, amount: amount(1), order_id: None };
    let done = pool.transaction(move |tx| Box::pin(billing::withdraw(tx, request(), withdrawal)));
    done.await.expect("a statement does not wait for longer than it may");
}

/// Other statements may not take that long.
#[tokio::test]
async fn a_migration_waits_for_the_replica_that_is_at_it_longer_than_a_statement_may() {
    let fresh = Fresh::start().await;
    let slow = fresh.billing(1).await;
    let limit = "select setting::bigint from pg_settings where name = 'statement_timeout'";
    let limit = sqlx::query_scalar::<_, i64>(limit);
    let limit = limit.fetch_one(&mut *slow.acquire().await.unwrap()).await.unwrap();
    assert_eq!(limit, 2_000, "as for every service, and as before the migration");

    let mut admin = fresh.admin().await;
    let mut tx = admin.begin().await.unwrap();
    // As a migration that is not committed yet.
    sqlx::query("lock table billing._sqlx_migrations").execute(&mut *tx).await.unwrap();
    let second = pool(&fresh.databases.services["billing"], 1);
    let waiting = process(&mut second.acquire().await.unwrap()).await;
    let past_the_limit = Duration::from_millis(u64::try_from(limit).unwrap() + 200);
    let first = async {
        until_waiting(&mut tx, waiting).await;
        tokio::time::sleep(past_the_limit).await;
        tx.commit().await.unwrap();
    };
    let tables = billing::migrations();
    tokio::join!(store::migrate(&second, &tables), first).0.unwrap();
    fresh.stop().await;
}
