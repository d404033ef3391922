//! The store on a real PostgreSQL: what its transactions, constraints and roles promise.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use clap::Parser;
use domain::{Amount, Balance, OrderId, Refusal, RequestId, UserId};
use mail::{Queue as _, Verdict};
use sandbox::Postgres;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use store::billing::{self, Deposit, WithdrawError, Withdrawal};
use store::notification::{self, EmailQueue, NewEmail};
use store::provision::{self, Databases, SCHEMAS};
use store::{DatabaseSettings, Once, Pool};
use tokio::time::timeout;
use uuid::Uuid;

/// A server and a fresh database on it.
struct Fresh {
    postgres: Postgres,
    databases: Databases,
}

impl Fresh {
    async fn start() -> Self {
        let postgres = Postgres::start().await.expect("PostgreSQL");
        let unique = Uuid::new_v4().simple().to_string();
        let databases = provision::create(postgres.admin_url(), &format!("hw_{unique}"), &unique, &SCHEMAS)
            .await
            .unwrap();
        Self { postgres, databases }
    }

    async fn stop(self) {
        provision::drop_all(self.postgres.admin_url(), &self.databases).await.unwrap();
        self.postgres.stop().await.unwrap();
    }
}

/// A pool as a service makes it, of `connections`.
fn pool(url: &url::Url, connections: u32) -> Pool {
    #[derive(Parser)]
    struct Settings {
        #[command(flatten)]
        database: DatabaseSettings,
    }
    let connections = connections.to_string();
    let arguments = ["test", "--database-url", url.as_str(), "--database-connections", &connections];
    Settings::parse_from(arguments).database.pool("test").unwrap()
}

fn request() -> RequestId {
    RequestId(Uuid::new_v4())
}

fn amount(minor_units: i64) -> Amount {
    Amount::new(minor_units).unwrap()
}

async fn user_with(pool: &Pool, minor_units: i64) -> UserId {
    let name = Uuid::new_v4().simple().to_string();
    let profile = domain::Profile {
        first_name: None,
        last_name: None,
        email: format!("{name}@example.org").parse().unwrap(),
        phone: None,
    };
    let registration = domain::Registration { username: name.parse().unwrap(), profile };
    let mut conn = pool.acquire().await.unwrap();
    let registered = billing::register(&mut conn, request(), &registration, "hash").await.unwrap();
    let Once::Done(Ok(user_id)) = registered else { panic!("{registered:?}") };
    let deposit = Deposit { user_id, amount: amount(minor_units) };
    let deposited = billing::deposit(&mut conn, request(), deposit).await.unwrap();
    assert_eq!(deposited, Once::Done(Ok(Balance(minor_units))));
    user_id
}

/// sqlx issue 4385: a transaction dropped while it begins must not poison the only connection.
#[tokio::test]
async fn a_caller_that_gives_up_does_not_leave_the_only_connection_in_a_transaction() {
    let fresh = Fresh::start().await;
    let pool = pool(&fresh.databases.services["billing"], 1);
    billing::migrate(&pool).await.unwrap();
    let user_id = user_with(&pool, 1_000).await;
    let mut url = fresh.postgres.admin_url().clone();
    url.set_path(&fresh.databases.name);
    let mut admin = PgConnection::connect(url.as_str()).await.unwrap();
    for patience_us in (0..2_000).step_by(20) {
        let shared = pool.clone();
        let work = shared.transaction(move |tx| {
            let withdrawal = Withdrawal { user_id, amount: amount(1), order_id: None };
            Box::pin(billing::withdraw(tx, request(), withdrawal))
        });
        // Gives up somewhere between the first byte of `begin` and the last of `commit`.
        drop(timeout(Duration::from_micros(patience_us), work).await);
        // Whoever gets the only connection next gets it outside of any transaction: PostgreSQL says so to somebody else.
        store::ping(&pool).await.unwrap();
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
async fn a_role_reaches_its_own_schema_only_and_the_auditor_reads_all_and_writes_nothing() {
    let fresh = Fresh::start().await;
    let (billing_pool, order_pool) =
        (pool(&fresh.databases.services["billing"], 1), pool(&fresh.databases.services["order"], 1));
    billing::migrate(&billing_pool).await.unwrap();
    store::order::migrate(&order_pool).await.unwrap();
    let refused = async |pool: &Pool, statement: &'static str| {
        let mut conn = pool.acquire().await.unwrap();
        let error = sqlx::query(statement).execute(&mut *conn).await.expect_err(statement);
        error
            .as_database_error()
            .and_then(|error| error.code().map(Into::into))
            .unwrap_or_else(|| error.to_string())
    };
    assert_eq!(refused(&order_pool, "select * from billing.users").await, "42501");
    assert_eq!(refused(&billing_pool, r#"update "order".orders set status = 'paid'"#).await, "42501");
    assert_eq!(refused(&billing_pool, "create table public.t ()").await, "42501");
    let auditor = pool(&fresh.databases.auditor, 1);
    for readable in ["select * from billing.users", r#"select * from "order".orders"#] {
        sqlx::query(readable).execute(&mut *auditor.acquire().await.unwrap()).await.unwrap();
    }
    assert_eq!(refused(&auditor, "delete from billing.users").await, "25006");
    let writable = sqlx::raw_sql("set default_transaction_read_only = off");
    writable.execute(&mut *auditor.acquire().await.unwrap()).await.unwrap();
    assert_eq!(refused(&auditor, "delete from billing.users").await, "42501");
    fresh.stop().await;
}

#[tokio::test]
async fn an_order_is_charged_once_whoever_asks_and_a_refusal_stays() {
    let fresh = Fresh::start().await;
    let pool = pool(&fresh.databases.services["billing"], 2);
    billing::migrate(&pool).await.unwrap();
    let user_id = user_with(&pool, 100).await;
    let mut conn = pool.acquire().await.unwrap();
    let charge = |sum, order| Withdrawal { user_id, amount: amount(sum), order_id: Some(OrderId(order)) };
    let (first, refused) = (request(), request());
    assert_eq!(
        billing::withdraw(&mut conn, first, charge(60, 1)).await.unwrap(),
        Once::Done(Ok(Balance(40)))
    );
    assert_eq!(
        billing::withdraw(&mut conn, first, charge(60, 1)).await.unwrap(),
        Once::Repeated(Ok(Balance(40)))
    );
    assert_eq!(billing::withdraw(&mut conn, first, charge(61, 1)).await.unwrap(), Once::Reused);
    let other_key = billing::withdraw(&mut conn, request(), charge(20, 1)).await;
    assert!(matches!(other_key, Err(WithdrawError::OrderAlreadyCharged(OrderId(1)))), "{other_key:?}");

    let poor = Err(Refusal::InsufficientFunds);
    assert_eq!(billing::withdraw(&mut conn, refused, charge(50, 2)).await.unwrap(), Once::Done(poor));
    billing::deposit(&mut conn, request(), Deposit { user_id, amount: amount(100) }).await.unwrap();
    assert_eq!(billing::withdraw(&mut conn, refused, charge(50, 2)).await.unwrap(), Once::Repeated(poor));
    drop(conn);
    fresh.stop().await;
}

#[tokio::test]
async fn an_order_gets_one_email_and_a_claim_that_ran_out_cannot_record() {
    let fresh = Fresh::start().await;
    let pool = pool(&fresh.databases.services["notification"], 2);
    notification::migrate(&pool).await.unwrap();
    let email = NewEmail {
        user_id: UserId(1),
        email: "a@example.org".to_owned(),
        title: "Order is paid".to_owned(),
        message: "m".to_owned(),
        order_id: Some(OrderId(7)),
        traceparent: None,
    };
    let mut conn = pool.acquire().await.unwrap();
    let stored = notification::enqueue(&mut conn, request(), email.clone()).await.unwrap();
    let Once::Done(id) = stored else { panic!("{stored:?}") };
    assert_eq!(notification::enqueue(&mut conn, request(), email.clone()).await.unwrap(), Once::Repeated(id));
    let other = NewEmail { title: "Not enough money".to_owned(), ..email };
    assert_eq!(notification::enqueue(&mut conn, request(), other).await.unwrap(), Once::Reused);

    let queue = EmailQueue(pool.clone());
    let first = queue.claim(10, Duration::ZERO).await.unwrap();
    assert_eq!((first.len(), first[0].attempts, first[0].taken_over), (1, 1, false));
    // The lease was over at once: somebody else takes the email over, and the first claimer has nothing to say any more.
    let second = queue.claim(10, Duration::from_mins(1)).await.unwrap();
    assert_eq!((second[0].attempts, second[0].taken_over), (2, true));
    assert_eq!(first[0].message_id, second[0].message_id);
    assert!(!queue.record(&first[0], &Verdict::Failed { reason: "late".to_owned() }).await.unwrap());
    assert!(queue.record(&second[0], &Verdict::Sent).await.unwrap());
    assert!(queue.claim(10, Duration::ZERO).await.unwrap().is_empty());
    assert_eq!(notification::list(&mut conn, UserId(1)).await.unwrap()[0].status, "sent");
    drop(conn);
    fresh.stop().await;
}
