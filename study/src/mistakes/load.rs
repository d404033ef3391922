//! The load: a few clients over fewer users, so that they get in each other's way. All that is asked for is drawn beforehand.

use std::time::Duration;

use anyhow::ensure;
use domain::{EventId, OrderId, UserId};
use fastrand::Rng;
use lab::driving::Api;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::sleep;
use uuid::Uuid;

/// Users, and what each has at the beginning.
const USERS: usize = 3;
const DEPOSIT: i64 = 1_000;
/// Clients at a time, and what each asks for, one after the other.
const CLIENTS: usize = 8;
const REQUESTS_EACH: usize = 20;
/// A client that is refused, since billing is dead, does not come again at once.
const WAITS_WHEN_REFUSED: Duration = Duration::from_millis(300);
/// How long clients wait for an outcome: while billing is dead there is none.
const PATIENCE: [(&str, &str); 1] = [("prefer", "wait=1")];
/// The event for which seats are booked, and how many it has: enough, so that what goes wrong is not hidden by what is sold out.
const EVENT: EventId = EventId(1);
const SEATS: i64 = 1_000;

/// What clients will ask for, one list for each.
pub(super) struct Load(Vec<Vec<Asked>>);

/// Something that a client asks for, then it thinks for a while.
struct Asked {
    user: usize,
    what: What,
    thinks: Duration,
}

enum What {
    Deposit(i64),
    Withdrawal(i64),
    Order(i64),
    Profile(u32),
    /// A seat; the client may change its mind after a moment.
    Booking {
        price: i64,
        cancels_after: Option<Duration>,
    },
}

impl Asked {
    fn draw(dice: &mut Rng, has_bookings: bool) -> Self {
        let what = match dice.u8(..100) {
            // The more of them, the less money is there for each.
            0..80 if has_bookings => What::Booking {
                price: dice.i64(50..=250),
                // At any moment until it is decided.
                cancels_after: dice.bool().then(|| Duration::from_millis(dice.u64(..80))),
            },
            0..25 => What::Deposit(dice.i64(1..=200)),
            25..50 => What::Withdrawal(dice.i64(1..=100)),
            50..80 => What::Order(dice.i64(1..=150)),
            _ => What::Profile(dice.u32(..)),
        };
        Self { user: dice.usize(..USERS), what, thinks: Duration::from_millis(dice.u64(10..50)) }
    }

    /// However it is answered: what was promised is remembered by `api`.
    async fn ask(&self, api: &Api, users: &[UserId], domain: &str) {
        let user = users[self.user];
        let answer = match self.what {
            What::Deposit(sum) => api.deposit(user, sum).await,
            What::Withdrawal(sum) => api.withdraw(user, sum).await,
            What::Order(price) => api.order(user, price, &PATIENCE).await,
            What::Profile(number) => {
                let profile = json!({"email": format!("{number:08x}@{domain}")});
                api.update_profile(user, &profile, &[]).await
            }
            What::Booking { price, cancels_after: None } => api.book(user, price, EVENT, &PATIENCE).await,
            What::Booking { price, cancels_after: Some(moment) } => {
                let answer = api.book(user, price, EVENT, &[("prefer", "respond-async")]).await;
                sleep(moment).await;
                cancel_newest(api, user).await;
                answer
            }
        };
        let served = answer.is_ok_and(|reply| !reply.status.is_server_error());
        sleep(if served { self.thinks } else { WAITS_WHEN_REFUSED }).await;
    }
}

impl Load {
    /// `has_bookings`: most of it is bookings, and not what every style has.
    pub(super) fn draw(dice: &mut Rng, has_bookings: bool) -> Self {
        let mut of_one = || (0..REQUESTS_EACH).map(|_| Asked::draw(dice, has_bookings)).collect();
        Self((0..CLIENTS).map(|_| of_one()).collect())
    }

    /// Requests in all.
    pub(super) fn requests(&self) -> u64 {
        self.0.iter().map(|of_one| of_one.len() as u64).sum()
    }

    /// Starts the clients; the answer ends with the last of them.
    pub(super) fn start(self, api: &Api, users: &[UserId]) -> JoinSet<()> {
        // All versions write to one mailbox, and what is in it for somebody else's users must not be taken for ours.
        let domain = format!("{}.example.org", Uuid::new_v4().simple());
        let mut clients = JoinSet::new();
        for of_one in self.0 {
            let (api, users, domain) = (api.clone(), users.to_vec(), domain.clone());
            clients.spawn(async move {
                for asked in of_one {
                    asked.ask(&api, &users, &domain).await;
                }
            });
        }
        clients
    }
}

/// Cancels the last order of `user`, whosever it is by now, if it is a booking that can still be cancelled.
async fn cancel_newest(api: &Api, user: UserId) {
    let orders = api.list(&format!("/orders?userId={user}&limit=100")).await.unwrap_or_default();
    if let Some(order) = orders.last().and_then(|order| order["id"].as_i64()) {
        // However it is answered: it may be decided already.
        let _ = api.cancel(OrderId(order)).await;
    }
}

/// Users with a little money, and seats where there are any; the same in both versions.
pub(super) async fn prepare(api: &Api, has_bookings: bool) -> anyhow::Result<Vec<UserId>> {
    if has_bookings {
        let opened = api.set_capacity(EVENT, SEATS).await?;
        ensure!(opened.status.is_success(), "opening the event: {} {}", opened.status, opened.body);
    }
    let mut users = Vec::new();
    for _ in 0..USERS {
        users.push(api.create_user_with(DEPOSIT).await?);
    }
    Ok(users)
}
