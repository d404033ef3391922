//! What each test stands on: a database of its own, orders in it, and a flow that writes down what it was asked to do.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::Parser;
use domain::{OrderId, RequestId, Settlement, UserId};
use orchestration::{Flow, FlowError, RecoverySettings, Unfinished, recover_until};
use sandbox::Postgres;
use sqlx::Row as _;
use store::order::{NewOrder, Order};
use store::provision::{self, Databases, SCHEMAS};
use store::{Once, Pool, StoreError};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// For everything that is expected to happen. Only a failure takes that long.
const DEADLINE: Duration = Duration::from_secs(10);

/// Ends with this process.
static SERVER: OnceCell<Postgres> = OnceCell::const_new();

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    recovery: RecoverySettings,
}

/// Orders count as left behind after `after_ms`; recovery looks 50 times a second.
pub fn settings(after_ms: u64) -> RecoverySettings {
    let after = after_ms.to_string();
    Cli::parse_from(["", "--recovery-after-ms", &after, "--recovery-poll-ms", "20"]).recovery
}

pub struct World {
    databases: Databases,
    pub pool: Pool,
}

impl World {
    pub async fn start() -> Self {
        let unique = Uuid::new_v4().simple().to_string();
        let databases =
            provision::create(&admin_url().await, &format!("hw_{unique}"), &unique, &SCHEMAS).await.unwrap();
        let pool = Pool::new(databases.services["order"].as_str().parse().unwrap(), 8);
        for tables in [store::order::migrations(), orchestration::migrations()] {
            store::migrate(&pool, &tables).await.unwrap();
        }
        Self { databases, pool }
    }

    pub fn unfinished(&self, after_ms: u64) -> Unfinished {
        Unfinished::new(self.pool.clone(), settings(after_ms))
    }

    /// A pending order.
    pub async fn order(&self) -> Order {
        let request = RequestId(Uuid::now_v7());
        let new = NewOrder { request, user: UserId(1), price: 90.try_into().unwrap(), user_version: None };
        let mut conn = self.pool.acquire().await.unwrap();
        match store::order::create(&mut conn, new).await.unwrap() {
            Once::Done(order) => order,
            other => panic!("{other:?}"),
        }
    }

    /// A pending order that is on the list of `unfinished`.
    pub async fn listed(&self, unfinished: &Unfinished) -> Order {
        let order = self.order().await;
        let mut conn = self.pool.acquire().await.unwrap();
        unfinished.remember(&mut conn, order.id).await.unwrap();
        order
    }

    pub async fn settle(&self, order: &Order, settlement: Settlement) {
        let mut conn = self.pool.acquire().await.unwrap();
        store::order::settle(&mut conn, order.id, settlement).await.unwrap().unwrap();
    }

    /// Takes an order off the list, as the service does that has finished it.
    pub async fn strike_off(&self, order: OrderId) {
        let strike_off = sqlx::query("delete from unfinished where order_id = $1").bind(order);
        strike_off.execute(&mut *self.pool.acquire().await.unwrap()).await.unwrap();
    }

    /// When each order on the list is due, in seconds from now, and how often it was taken.
    pub async fn list(&self) -> HashMap<OrderId, (f64, i32)> {
        let mut conn = self.pool.acquire().await.unwrap();
        let rows = sqlx::query(
            "select order_id, extract(epoch from due_at - now())::float8 as due_s, attempts from unfinished",
        );
        let rows = rows.fetch_all(&mut *conn).await.unwrap();
        rows.iter()
            .map(|row| (OrderId(row.get("order_id")), (row.get("due_s"), row.get("attempts"))))
            .collect()
    }

    /// Orders that are paid and due on the list, for longer than any other, without an email.
    pub async fn fill_with_orders_that_lack_their_email(&self, orders: i32) {
        // Of its own, since what a session has read is told when it ends.
        let filling = Pool::new(self.databases.services["order"].as_str().parse().unwrap(), 1);
        let mut conn = filling.acquire().await.unwrap();
        for (statement, count) in [
            (
                "insert into orders (request_id, user_id, price, status, version)
                 select gen_random_uuid(), 1, 90, 'paid', 2 from generate_series(1, $1)",
                orders,
            ),
            (
                "insert into unfinished (order_id, due_at, attempts, decided)
                 select id, now() - interval '1 hour', $1, true from orders",
                1,
            ),
        ] {
            sqlx::query(statement).bind(count).execute(&mut *conn).await.unwrap();
        }
        sqlx::query("analyze orders, unfinished").execute(&mut *conn).await.unwrap();
        drop(conn);
        filling.close();
    }

    /// How many rows were read so far, as soon as that is at least `expected`: a session tells when it ends.
    pub async fn rows_read(&self, expected: i64) -> i64 {
        let watching = Pool::new(self.databases.services["order"].as_str().parse().unwrap(), 1);
        eventually("what was read is known", async || {
            let question =
                "select sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint from pg_stat_user_tables
                            where relname in ('orders', 'unfinished')";
            let mut conn = watching.acquire().await.unwrap();
            let read: i64 = sqlx::query_scalar(question).fetch_one(&mut *conn).await.unwrap();
            (read >= expected).then_some(read)
        })
        .await
    }

    pub async fn stop(self) {
        self.pool.close();
        provision::drop_all(&admin_url().await, &self.databases).await.unwrap();
    }
}

async fn admin_url() -> url::Url {
    SERVER.get_or_init(async || Postgres::start().await.unwrap()).await.admin_url().clone()
}

/// Polls `look` until it finds something.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < DEADLINE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What a step is to come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    #[error("a peer is away")]
    PeerAway,
    #[error("this order cannot be finished")]
    ThisOrder,
    #[error("the database")]
    Store,
}

impl From<StoreError> for Trouble {
    fn from(_: StoreError) -> Self {
        Self::Store
    }
}

impl FlowError for Trouble {
    fn concerns_every_order(&self) -> bool {
        matches!(self, Self::PeerAway | Self::Store)
    }
}

/// A flow whose steps come to what a test says.
#[derive(Clone, Default)]
pub struct Scripted {
    /// What deciding an order comes to; it is paid where nothing is said.
    pub decide: Arc<Mutex<HashMap<OrderId, Trouble>>>,
    /// What handing its email over comes to.
    pub notify: Arc<Mutex<HashMap<OrderId, Trouble>>>,
    /// The orders that were to be decided, in their order.
    pub decided: Arc<Mutex<Vec<OrderId>>>,
    /// The orders whose email was to be handed over.
    pub notified: Arc<Mutex<Vec<OrderId>>>,
    /// Whether no email can be handed over.
    pub notification_is_away: bool,
    /// What deciding takes.
    pub each_takes: Duration,
    /// How many were being decided at the same time, now and at most.
    pub now_at_once: Arc<AtomicUsize>,
    pub most_at_once: Arc<AtomicUsize>,
    pub unfinished: Option<Unfinished>,
}

impl Scripted {
    /// One that strikes orders off the list of `unfinished`.
    pub fn on(unfinished: &Unfinished) -> Self {
        Self { unfinished: Some(unfinished.clone()), ..Self::default() }
    }

    /// Runs recovery with it until the token is cancelled.
    pub fn recover(&self, unfinished: &Unfinished) -> CancellationToken {
        let stop = CancellationToken::new();
        tokio::spawn(recover_until(stop.clone(), self.clone(), unfinished.clone()));
        stop
    }
}

impl Flow for Scripted {
    type Error = Trouble;

    async fn decide(&self, order: Order) -> Result<Order, Trouble> {
        self.decided.lock().unwrap().push(order.id);
        self.most_at_once.fetch_max(self.now_at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        tokio::time::sleep(self.each_takes).await;
        self.now_at_once.fetch_sub(1, Ordering::SeqCst);
        match self.decide.lock().unwrap().get(&order.id) {
            Some(trouble) => Err(*trouble),
            None => Ok(order),
        }
    }

    async fn notify(&self, order: &Order) -> Result<(), Trouble> {
        self.notified.lock().unwrap().push(order.id);
        if self.notification_is_away {
            return Err(Trouble::PeerAway);
        }
        if let Some(trouble) = self.notify.lock().unwrap().get(&order.id) {
            return Err(*trouble);
        }
        if let Some(unfinished) = &self.unfinished {
            unfinished.finished(order.id);
        }
        Ok(())
    }
}
