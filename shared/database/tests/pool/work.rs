//! Work on connections of a pool: what it leaves behind for whoever has the connection next.

use database::Pool;
use sandbox::Postgres;
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};

/// Statements as the pool's only connection saw them last, from outside: its state and whether its process is still the same.
async fn session(admin: &mut PgConnection) -> (i32, String) {
    sqlx::query_as("select pid, state from pg_stat_activity where application_name = 'pool'")
        .fetch_one(admin)
        .await
        .unwrap()
}

async fn one(pool: &Pool) -> Result<i32, sqlx::Error> {
    pool.run(|conn| Box::pin(sqlx::query_scalar("select 1").fetch_one(conn))).await
}

#[tokio::test]
async fn one_connection_serves_one_after_the_other_and_a_broken_one_is_replaced() {
    let postgres = Postgres::start().await.unwrap();
    let mut admin = PgConnection::connect(postgres.admin_url().as_str()).await.unwrap();
    let options: PgConnectOptions = postgres.admin_url().as_str().parse().unwrap();
    let pool = Pool::new(options.application_name("pool"), 1);

    assert_eq!(one(&pool).await.unwrap(), 1);
    let (first, _) = session(&mut admin).await;
    assert_eq!(one(&pool).await.unwrap(), 1);
    assert_eq!(session(&mut admin).await.0, first);

    // A transaction that fails is rolled back before anybody else has the connection.
    let failed: Result<(), sqlx::Error> = pool
        .transaction(|tx| {
            Box::pin(async {
                sqlx::query("create table never ()").execute(&mut *tx).await?;
                sqlx::query("select 1 / 0").execute(tx).await.map(drop)
            })
        })
        .await;
    assert!(matches!(failed, Err(sqlx::Error::Database(_))), "{failed:?}");
    assert_eq!(one(&pool).await.unwrap(), 1);
    assert_eq!(session(&mut admin).await, (first, "idle".to_owned()));
    let never: Option<String> =
        sqlx::query_scalar("select to_regclass('never')::text").fetch_one(&mut admin).await.unwrap();
    assert_eq!(never, None);

    // Cut off, it fails whoever has it, and nobody after that.
    sqlx::query("select pg_terminate_backend($1, 5000)").bind(first).execute(&mut admin).await.unwrap();
    assert!(one(&pool).await.is_err());
    assert_eq!(one(&pool).await.unwrap(), 1);
    assert_ne!(session(&mut admin).await.0, first);

    pool.close();
    assert!(matches!(one(&pool).await, Err(sqlx::Error::PoolClosed)));
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_dropped_unfinished_is_rolled_back_at_once() {
    let postgres = Postgres::start().await.unwrap();
    let options: PgConnectOptions = postgres.admin_url().as_str().parse().unwrap();
    let pool = Pool::new(options.application_name("pool"), 2);
    sqlx::raw_sql("create table counter (n int); insert into counter values (0)")
        .execute(&mut *pool.acquire().await.unwrap())
        .await
        .unwrap();
    {
        let mut connection = pool.acquire().await.unwrap();
        let mut tx = connection.begin().await.unwrap();
        sqlx::query("update counter set n = n + 1").execute(&mut *tx).await.unwrap();
    }
    // Would wait for the lock until its statement is cancelled.
    let n: i32 = pool
        .run(|conn| {
            Box::pin(async {
                sqlx::query("set statement_timeout = '10s'").execute(&mut *conn).await?;
                sqlx::query_scalar("update counter set n = n + 1 returning n").fetch_one(conn).await
            })
        })
        .await
        .unwrap();
    assert_eq!(n, 1);
    pool.close();
    postgres.stop().await.unwrap();
}
