//! Load: clients that place orders in a closed loop, each asking again as soon as it is answered.
//!
//! Every client has a connection of its own and does as little as possible between two orders: what it takes of the machine is
//! missing to the services.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use domain::UserId;
use fastrand::Rng;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use url::Url;

use super::client::Api;

/// Users among whom orders are spread: enough that they do not queue for the same accounts.
pub const USERS: usize = 256;
/// What each of them has: more than any load spends.
const FUNDS: i64 = 1_000_000_000;
/// Users that are created at the same time.
const CREATED_AT_ONCE: usize = 16;

/// Clients in a closed loop.
pub struct ClosedLoop {
    /// How many.
    pub in_flight: usize,
    /// How long they are at it before anything counts.
    pub warm_up: Duration,
    /// How long it counts.
    pub measured: Duration,
    /// Decides who orders.
    pub seed: u64,
}

/// What came of a load.
pub struct Outcome {
    /// When the measured part began and ended.
    pub window: (SystemTime, SystemTime),
    /// How the orders placed in it were answered, by status.
    pub statuses: BTreeMap<u16, u64>,
}

/// Creates the users of a load.
pub fn create_users(api: &Api) -> BoxFuture<'_, anyhow::Result<Arc<[UserId]>>> {
    Box::pin(async move {
        let mut users = Vec::with_capacity(USERS);
        while users.len() < USERS {
            let mut created = JoinSet::new();
            for _ in 0..CREATED_AT_ONCE {
                let api = api.clone();
                created.spawn(async move { api.create_user_with(FUNDS).await });
            }
            while let Some(user) = created.join_next().await {
                users.push(user?.context("creating the users of a load")?);
            }
        }
        Ok(users.into())
    })
}

impl ClosedLoop {
    /// Places orders of `users` through the gateway of `api`, which keeps account of what it is promised.
    ///
    /// # Errors
    /// When a connection breaks: nobody is to go away during a load.
    pub fn run<'a>(
        &'a self,
        api: &'a Api,
        users: &'a Arc<[UserId]>,
    ) -> BoxFuture<'a, anyhow::Result<Outcome>> {
        Box::pin(async move {
            let mut dice = Rng::with_seed(self.seed);
            let started = Instant::now();
            let counted = (started + self.warm_up, started + self.warm_up + self.measured);
            let begins = SystemTime::now() + self.warm_up;
            let mut clients = JoinSet::new();
            for _ in 0..self.in_flight {
                let client = Client { api: api.clone(), users: Arc::clone(users), dice: dice.fork() };
                clients.spawn(client.order_until_over(counted));
            }
            let mut statuses = BTreeMap::new();
            while let Some(told) = clients.join_next().await {
                for (status, count) in told?? {
                    *statuses.entry(status).or_default() += count;
                }
            }
            Ok(Outcome { window: (begins, begins + self.measured), statuses })
        })
    }
}

struct Client {
    api: Api,
    users: Arc<[UserId]>,
    dice: Rng,
}

impl Client {
    async fn order_until_over(
        mut self,
        (from, to): (Instant, Instant),
    ) -> anyhow::Result<BTreeMap<u16, u64>> {
        let mut gateway = Connection::open(self.api.base()).await?;
        let mut statuses = BTreeMap::<u16, u64>::new();
        loop {
            let asked_at = Instant::now();
            if asked_at >= to {
                return Ok(statuses);
            }
            let (user, price) = (self.users[self.dice.usize(..self.users.len())], self.dice.i64(1..=100));
            let (status, body) = gateway.post_order(user, price).await?;
            self.api.remember_order(status, &body);
            if asked_at >= from {
                *statuses.entry(status.as_u16()).or_default() += 1;
            }
        }
    }
}

/// One kept-alive HTTP/1.1 connection.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

impl Connection {
    /// Connects to the gateway at `base`.
    pub async fn open(base: &Url) -> anyhow::Result<Self> {
        let host = format!("{}:{}", base.host_str().context("no host")?, base.port().unwrap_or(80));
        let stream = TcpStream::connect(&host).await.context("connecting to the gateway")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Ends when the sender is dropped; what goes wrong before shows at the sender.
        tokio::spawn(connection);
        Ok(Self { sender, host })
    }

    /// `POST /orders`
    pub async fn post_order(&mut self, user: UserId, price: i64) -> anyhow::Result<(StatusCode, Value)> {
        let body = json!({"userId": user, "price": price}).to_string();
        let request = Request::post("/orders")
            .header(header::HOST, &self.host)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))?;
        self.sender.ready().await.context("the gateway hung up")?;
        let answer = self.sender.send_request(request).await.context("placing an order")?;
        let status = answer.status();
        let body = answer.into_body().collect().await.context("reading an answer")?.to_bytes();
        Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }
}
