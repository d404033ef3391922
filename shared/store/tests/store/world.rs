//! What a test has to itself: a database, on a server that all tests share; and the parts that most of them begin with.

use std::time::{Duration, Instant};

use clap::Parser;
use database::Connection;
use domain::{Amount, Balance, Profile, Registration, RequestId, UserId};
use sandbox::Postgres;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use store::billing::{self, Deposit};
use store::provision::{self, Databases};
use store::{DatabaseSettings, Once, Pool};
use tokio::sync::OnceCell;
use uuid::Uuid;

/// For everything that is expected to happen. Only a failure takes that long.
const DEADLINE: Duration = Duration::from_secs(30);

/// Ends with this process.
static SERVER: OnceCell<Postgres> = OnceCell::const_new();

/// A fresh database.
pub struct Fresh {
    pub databases: Databases,
}

impl Fresh {
    pub async fn start() -> Self {
        let unique = Uuid::new_v4().simple().to_string();
        let schemas = [&provision::SCHEMAS[..], &["ticket"]].concat();
        let databases =
            provision::create(&admin_url().await, &format!("hw_{unique}"), &unique, &schemas).await.unwrap();
        Self { databases }
    }

    /// Billing's tables, and a pool of `connections` to them.
    pub async fn billing(&self, connections: u32) -> Pool {
        let pool = pool(&self.databases.services["billing"], connections);
        connect(&pool).await.give_back();
        store::migrate(&pool, &billing::migrations()).await.unwrap();
        pool
    }

    /// The order service's.
    pub async fn orders(&self, connections: u32) -> Pool {
        let pool = pool(&self.databases.services["order"], connections);
        connect(&pool).await.give_back();
        store::migrate(&pool, &store::order::migrations()).await.unwrap();
        pool
    }

    /// The notification service's.
    pub async fn emails(&self, connections: u32) -> Pool {
        let pool = pool(&self.databases.services["notification"], connections);
        connect(&pool).await.give_back();
        store::migrate(&pool, &store::notification::migrations()).await.unwrap();
        pool
    }

    /// The ticket service's.
    pub async fn tickets(&self, connections: u32) -> Pool {
        let pool = pool(&self.databases.services["ticket"], connections);
        connect(&pool).await.give_back();
        store::migrate(&pool, &store::ticket::migrations()).await.unwrap();
        pool
    }

    /// A session in this database that may do anything.
    pub async fn admin(&self) -> PgConnection {
        let mut url = admin_url().await;
        url.set_path(&self.databases.name);
        PgConnection::connect(url.as_str()).await.unwrap()
    }

    pub async fn stop(self) {
        provision::drop_all(&admin_url().await, &self.databases).await.unwrap();
    }
}

/// Where somebody connects who may create databases and roles.
pub async fn admin_url() -> url::Url {
    let start = async { Postgres::start().await.expect("PostgreSQL") };
    SERVER.get_or_init(|| Box::pin(start)).await.admin_url().clone()
}

/// A pool as a service makes it, of `connections`.
pub fn pool(url: &url::Url, connections: u32) -> Pool {
    #[derive(Parser)]
    struct Settings {
        #[command(flatten)]
        database: DatabaseSettings,
    }
    let connections = connections.to_string();
    let arguments = ["test", "--database-url", url.as_str(), "--database-connections", &connections];
    Settings::parse_from(arguments).database.pool("test").unwrap()
}

/// A connection of the pool, however long a busy machine takes to open it, and on which a statement may wait as long as the test
/// does.
pub async fn connect(pool: &Pool) -> Connection {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match pool.acquire().await {
            Err(sqlx::Error::PoolTimedOut) if Instant::now() < deadline => {}
            acquired => {
                let mut connection = acquired.unwrap();
                sqlx::query("set statement_timeout = '30s'").execute(&mut *connection).await.unwrap();
                return connection;
            }
        }
    }
}

pub fn request() -> RequestId {
    RequestId(Uuid::new_v4())
}

pub fn amount(minor_units: i64) -> Amount {
    Amount::new(minor_units).unwrap()
}

/// A registration under a name and an address that nobody else has.
pub fn registration() -> Registration {
    let name = Uuid::new_v4().simple().to_string();
    registration_of(&name, &format!("{name}@example.org"))
}

pub fn registration_of(username: &str, email: &str) -> Registration {
    let profile = Profile { first_name: None, last_name: None, email: email.parse().unwrap(), phone: None };
    Registration { username: username.parse().unwrap(), profile }
}

pub async fn user(pool: &Pool) -> UserId {
    let mut conn = connect(pool).await;
    let registered = billing::register(&mut conn, request(), &registration(), "hash").await.unwrap();
    let Once::Done(Ok(user_id)) = registered else { panic!("{registered:?}") };
    user_id
}

/// A user whose account holds `minor_units`.
pub async fn user_with(pool: &Pool, minor_units: i64) -> UserId {
    let user_id = user(pool).await;
    let mut conn = connect(pool).await;
    let deposit = Deposit { user_id, amount: amount(minor_units) };
    let deposited = billing::deposit(&mut conn, request(), deposit).await.unwrap();
    assert_eq!(deposited, Once::Done(Ok(Balance(minor_units))));
    user_id
}

/// What the user's account holds.
pub async fn balance(pool: &Pool, user: UserId) -> Balance {
    billing::find_user(&mut *connect(pool).await, user).await.unwrap().unwrap().balance
}

/// The user's ledger, oldest first: kind, amount, balance after it, order.
pub async fn ledger(pool: &Pool, user: UserId) -> Vec<(String, i64, i64, Option<i64>)> {
    sqlx::query_as("select kind, amount, balance_after, order_id from ledger where user_id = $1 order by id")
        .bind(user)
        .fetch_all(&mut *connect(pool).await)
        .await
        .unwrap()
}

/// From here on, rows that a statement does not sort come in the order in which they lie in their table, and not in that of an
/// index.
pub async fn read_as_they_lie(conn: &mut PgConnection) {
    let plans = "set enable_indexscan = off; set enable_bitmapscan = off; set enable_seqscan = on";
    sqlx::raw_sql(plans).execute(conn).await.unwrap();
}

/// The server process behind a connection.
pub async fn process(conn: &mut PgConnection) -> i32 {
    sqlx::query_scalar("select pg_backend_pid()").fetch_one(conn).await.unwrap()
}

/// Waits until that process waits for a lock, as `observer` sees it.
pub async fn until_waiting(observer: &mut PgConnection, process: i32) {
    let deadline = Instant::now() + DEADLINE;
    let waits = "select wait_event_type = 'Lock' from pg_stat_activity where pid = $1";
    let mut waiting: Option<bool> = None;
    while waiting != Some(true) {
        assert!(Instant::now() < deadline, "process {process} waits for nobody");
        waiting = sqlx::query_scalar(waits).bind(process).fetch_one(&mut *observer).await.unwrap();
    }
}
