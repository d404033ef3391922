//! Who may see what, and that nothing is left of a database that is dropped.

use sqlx::Connection as _;
use sqlx::error::DatabaseError;
use sqlx::postgres::PgConnection;
use store::provision::{self, SCHEMAS};

use crate::world::{Fresh, admin_url};

/// The code of the error that `statement` ends with.
async fn refused(conn: &mut PgConnection, statement: &'static str) -> String {
    let error = sqlx::query(statement).execute(conn).await.expect_err(statement);
    error
        .as_database_error()
        .and_then(|error| error.code().map(Into::into))
        .unwrap_or_else(|| error.to_string())
}

/// Not from a pool, which takes no connection that cannot write.
async fn auditor(fresh: &Fresh) -> PgConnection {
    PgConnection::connect(fresh.databases.auditor.as_str()).await.unwrap()
}

#[tokio::test]
async fn a_role_reaches_its_own_schema_only_and_the_auditor_reads_all_and_writes_nothing() {
    let fresh = Fresh::start().await;
    let (billing, order) = (fresh.billing(1).await, fresh.orders(1).await);
    let (mut billing, mut order) = (billing.acquire().await.unwrap(), order.acquire().await.unwrap());
    assert_eq!(refused(&mut order, "select * from billing.users").await, "42501");
    assert_eq!(refused(&mut billing, r#"update "order".orders set status = 'paid'"#).await, "42501");
    assert_eq!(refused(&mut billing, "create table public.t ()").await, "42501");
    let mut auditor = auditor(&fresh).await;
    for readable in ["select * from billing.users", r#"select * from "order".orders"#] {
        sqlx::query(readable).execute(&mut auditor).await.unwrap();
    }
    assert_eq!(refused(&mut auditor, "delete from billing.users").await, "25006");
    sqlx::raw_sql("set default_transaction_read_only = off").execute(&mut auditor).await.unwrap();
    assert_eq!(refused(&mut auditor, "delete from billing.users").await, "42501");
    drop((billing, order));
    fresh.stop().await;
}

#[tokio::test]
async fn a_role_reaches_no_other_database_and_the_auditor_sees_every_session() {
    let (fresh, other) = (Fresh::start().await, Fresh::start().await);
    for role in [&fresh.databases.services["billing"], &fresh.databases.auditor] {
        let mut elsewhere = role.clone();
        elsewhere.set_path(&other.databases.name);
        let error = PgConnection::connect(elsewhere.as_str()).await.expect_err("it is another's");
        let code = error.as_database_error().and_then(DatabaseError::code);
        assert_eq!(code.as_deref(), Some("42501"));
    }
    let billing = fresh.billing(1).await;
    let mut auditor = auditor(&fresh).await;
    let _session = billing.acquire().await.unwrap();
    let seen: i64 = sqlx::query_scalar(
        "select count(*) from pg_stat_activity
         where datname = current_database() and usename like '%billing' and state is not null",
    )
    .fetch_one(&mut auditor)
    .await
    .unwrap();
    assert_eq!(seen, 1);
    fresh.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn a_database_that_is_dropped_leaves_no_role_though_somebody_is_connected() {
    let fresh = Fresh::start().await;
    let name = fresh.databases.name.clone();
    let mut connected = PgConnection::connect(fresh.databases.services["billing"].as_str()).await.unwrap();
    fresh.stop().await;
    assert!(sqlx::query("select 1").execute(&mut connected).await.is_err());
    let mut admin = PgConnection::connect(admin_url().await.as_str()).await.unwrap();
    let left: i64 = sqlx::query_scalar(
        "select (select count(*) from pg_database where datname = $1)
              + (select count(*) from pg_roles where rolname like $1 || '%')",
    )
    .bind(name)
    .fetch_one(&mut admin)
    .await
    .unwrap();
    assert_eq!(left, 0);
}

/// They are written into statements.
#[tokio::test]
async fn a_name_or_a_password_that_is_no_plain_word_is_not_used() {
    // Nobody listens there: whoever tries to connect gets an error instead.
    let nowhere: url::Url = "postgres://nobody@127.0.0.1:1/none".parse().unwrap();
    for (name, password) in
        [("", "p"), ("n", ""), ("a-b", "p"), ("A", "p"), ("n", "it's"), ("n", "a b"), ("drop;", "p")]
    {
        let nowhere = nowhere.clone();
        let created =
            tokio::spawn(async move { provision::create(&nowhere, name, password, &SCHEMAS).await.is_ok() });
        assert!(created.await.is_err_and(|error| error.is_panic()), "{name:?} {password:?}");
    }
    let plain = provision::create(&nowhere, "a_1", "b_2", &SCHEMAS).await;
    assert!(matches!(plain, Err(store::StoreError::Database(sqlx::Error::Io(_)))), "{plain:?}");
}
