//! Clients that place orders, in a closed or an open loop.
//!
//! Each order goes under a key of its own, so that what became of it can be found whatever was answered, even nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use domain::{RequestId, UserId};
use fastrand::Rng;
use lab::driving::Api;
use lab::driving::load;
use tokio::runtime::Handle;
use tokio::task::{JoinSet, spawn_blocking};
use uuid::Uuid;

/// An order as its client saw it.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    /// By which it is found.
    pub(crate) request: RequestId,
    /// When it was due to be placed, in seconds since 1970.
    pub(crate) due_at_s: f64,
    /// From then until the answer, or until it was clear that there is none.
    pub(crate) answered_after: Duration,
    /// The answer's status; 0: there was none.
    pub(crate) status: u16,
}

impl Placed {
    /// Whether the client was promised that there is such an order.
    pub(crate) fn is_acknowledged(&self) -> bool {
        matches!(self.status, 201 | 202)
    }
}

/// A moment, on the clock that measures durations and on that of the database.
#[derive(Clone, Copy)]
struct Due(Instant, f64);

impl Due {
    fn now() -> Self {
        Self(Instant::now(), now_s())
    }

    fn after(self, seconds: f64) -> Self {
        Self(self.0 + Duration::from_secs_f64(seconds), self.1 + seconds)
    }
}

/// Seconds since 1970.
pub(crate) fn now_s() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Clients of one gateway, and the users for whom they order.
#[derive(Clone)]
pub(crate) struct Clients {
    api: Api,
    users: Arc<[UserId]>,
    dice: Rng,
}

impl Clients {
    /// Registers the users. `seed` decides who of them orders what.
    pub(crate) async fn new(api: &Api, seed: u64) -> anyhow::Result<Self> {
        let users = load::create_users(api).await?;
        Ok(Self { api: api.clone(), users, dice: Rng::with_seed(seed) })
    }

    /// The same clients, who order for `user` alone.
    pub(crate) fn only_for(&mut self, user: UserId) -> Self {
        Self { api: self.api.clone(), users: Arc::new([user]), dice: self.dice.fork() }
    }

    /// So many clients place `orders` orders together; each asks again as soon as it is answered. In the order of asking.
    pub(crate) async fn closed(&mut self, in_flight: usize, orders: usize) -> Vec<Placed> {
        let left = Arc::new(AtomicUsize::new(orders));
        let mut clients = JoinSet::new();
        for _ in 0..in_flight {
            let (mut client, left) = (self.fork(), Arc::clone(&left));
            clients.spawn(async move {
                let mut placed = Vec::new();
                let take = || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |it| it.checked_sub(1));
                while take().is_ok() {
                    placed.push(client.place(Due::now()).await);
                }
                placed
            });
        }
        in_order(clients.join_all().await.concat())
    }

    /// So many orders fall due each second and are placed then, whether or not earlier ones were answered, as long as
    /// `goes_on`, which is told how many there were. In the order of falling due.
    ///
    /// # Errors
    /// When a client panics.
    pub(crate) async fn open(
        &mut self,
        orders_per_s: f64,
        goes_on: impl Fn(usize) -> bool + Send + 'static,
    ) -> anyhow::Result<Vec<Placed>> {
        let (mut dice, runtime) = (self.fork(), Handle::current());
        // A thread of its own: the runtime's timers are off by up to a millisecond, which would show in every latency.
        let placing = spawn_blocking(move || {
            let (begun, mut clients) = (Due::now(), JoinSet::new());
            for number in 0.. {
                #[allow(clippy::cast_precision_loss, reason = "nobody places 2^52 orders")]
                let due = begun.after(number as f64 / orders_per_s);
                std::thread::sleep(due.0.saturating_duration_since(Instant::now()));
                if !goes_on(number) {
                    break;
                }
                let mut client = dice.fork();
                clients.spawn_on(async move { client.place(due).await }, &runtime);
            }
            clients
        });
        Ok(in_order(placing.await?.join_all().await))
    }

    /// Other dice: the same clients would order the same again.
    pub(crate) fn fork(&mut self) -> Self {
        Self { api: self.api.clone(), users: Arc::clone(&self.users), dice: self.dice.fork() }
    }

    async fn place(&mut self, due: Due) -> Placed {
        let (user, price) = (self.users[self.dice.usize(..self.users.len())], self.dice.i64(1..=100));
        let key = Uuid::new_v4().simple().to_string();
        let reply = self.api.order(user, price, &[("idempotency-key", &key)]).await;
        Placed {
            request: Api::order_request(&key),
            due_at_s: due.1,
            answered_after: due.0.elapsed(),
            status: reply.map_or(0, |reply| reply.status.as_u16()),
        }
    }
}

fn in_order(mut placed: Vec<Placed>) -> Vec<Placed> {
    placed.sort_by(|one, other| one.due_at_s.total_cmp(&other.due_at_s));
    placed
}
