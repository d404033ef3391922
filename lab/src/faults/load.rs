//! Clients that go on whatever happens: a few of them, over a handful of users, with a moment to think in between.

use std::sync::Arc;

use domain::{EventId, OrderId, UserId};
use fastrand::Rng;
use reqwest::StatusCode;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::arena::Arena;
use super::book::{Book, Keyed};
use super::kinds::ms;
use crate::driving::Api;

/// Clients at the same time: enough to contend, few enough for a small machine and a broker in memory.
const CLIENTS: usize = 5;

/// Events whose seats are contended.
const EVENTS: i64 = 3;

/// Answers to what creates or decides an order.
const ORDER: [StatusCode; 3] = [StatusCode::CREATED, StatusCode::ACCEPTED, StatusCode::PRECONDITION_FAILED];

/// Clients that are at work.
pub(super) struct Load {
    clients: JoinSet<()>,
    stop: watch::Sender<bool>,
}

/// One of them.
struct Client {
    arena: Arc<Arena>,
    book: Book,
    dice: Rng,
    /// The newest order that it has tried to cancel.
    newest: i64,
}

impl Load {
    pub(super) fn start(arena: &Arc<Arena>, book: &Book, dice: &mut Rng) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let client =
                Client { arena: Arc::clone(arena), book: book.clone(), dice: dice.fork(), newest: 0 };
            clients.spawn(client.work(stopped.clone()));
        }
        Self { clients, stop }
    }

    /// Lets every client finish what it is at.
    pub(super) async fn stop(self) {
        self.stop.send_replace(true);
        self.clients.join_all().await;
    }
}

impl Client {
    async fn work(mut self, stopped: watch::Receiver<bool>) {
        while !*stopped.borrow() {
            self.ask().await;
            sleep(ms(&mut self.dice, 30, 250)).await;
        }
    }

    /// Asks for something.
    async fn ask(&mut self) {
        if self.arena.style.features.has_bookings && self.dice.bool() {
            return self.ask_about_bookings().await;
        }
        match self.dice.u8(..100) {
            0..3 => self.register().await,
            3..20 => self.deposit().await,
            20..45 => self.order(&[]).await,
            45..52 => self.order(&[("prefer", "respond-async")]).await,
            52..67 => self.order_with_a_key().await,
            67..80 => self.order_again().await,
            80..90 => self.withdraw().await,
            _ => self.update_profile().await,
        }
    }

    /// Either gateway.
    fn api(&mut self) -> Api {
        if self.dice.u8(..3) == 0 { self.arena.second.clone() } else { self.arena.api.clone() }
    }

    /// Who does not answer at all, or not yet, is no news. Only a registration whose answer is 201 is known to succeed.
    async fn register(&mut self) {
        if self.book.wants_users()
            && let Ok(user) = self.api().create_user().await
        {
            self.book.add_user(user);
        }
    }

    async fn deposit(&mut self) {
        let (api, user, sum) = (self.api(), self.book.any_user(&mut self.dice), self.dice.i64(1..=200));
        let reply = api.deposit(user, sum).await;
        self.book.heard("deposit", reply.as_ref().ok(), &[StatusCode::OK, StatusCode::ACCEPTED]);
    }

    async fn withdraw(&mut self) {
        let (api, user, sum) = (self.api(), self.book.any_user(&mut self.dice), self.dice.i64(1..=100));
        let reply = api.withdraw(user, sum).await;
        let expected = [StatusCode::OK, StatusCode::PRECONDITION_FAILED];
        self.book.heard("withdrawal", reply.as_ref().ok(), &expected);
    }

    async fn order(&mut self, headers: &[(&str, &str)]) {
        let (api, user, price) = (self.api(), self.book.any_user(&mut self.dice), self.dice.i64(1..=150));
        let patience = [("prefer", "wait=3")];
        let headers = if headers.is_empty() && self.dice.bool() { &patience } else { headers };
        let reply = api.order(user, price, headers).await;
        self.book.heard("order", reply.as_ref().ok(), &ORDER);
    }

    async fn order_with_a_key(&mut self) {
        let key = format!("{:016x}", self.dice.u64(..));
        let order = Keyed { key, user: self.book.any_user(&mut self.dice), price: self.dice.i64(1..=150) };
        self.book.add_keyed(&order);
        self.keyed("order with a key", &order).await;
    }

    async fn order_again(&mut self) {
        if let Some(order) = self.book.any_keyed(&mut self.dice) {
            self.keyed("order again", &order).await;
        }
    }

    async fn keyed(&mut self, what: &str, order: &Keyed) {
        let Keyed { key, user, price } = order;
        let wait = format!("wait={}", self.dice.u8(1..=3));
        let headers = [("idempotency-key", key.as_str()), ("prefer", wait.as_str())];
        let reply = self.api().order(*user, *price, &headers).await;
        self.book.heard(what, reply.as_ref().ok(), &ORDER);
        if let Ok(reply) = reply {
            self.book.ended(key, &reply);
        }
    }

    async fn ask_about_bookings(&mut self) {
        let (api, event) = (self.api(), EventId(self.dice.i64(1..=EVENTS)));
        if self.dice.u8(..10) == 0 {
            let reply = api.set_capacity(event, self.dice.i64(0..=60)).await;
            let expected = [StatusCode::OK, StatusCode::CREATED, StatusCode::CONFLICT];
            return self.book.heard("seats", reply.as_ref().ok(), &expected);
        }
        let (user, price) = (self.book.any_user(&mut self.dice), self.dice.i64(1..=150));
        let prefer = if self.dice.u8(..3) == 0 { "respond-async" } else { "wait=3" };
        let reply = api.book(user, price, event, &[("prefer", prefer)]).await;
        // Sold out, or no such event yet.
        let expected = [ORDER.as_slice(), &[StatusCode::CONFLICT, StatusCode::NOT_FOUND]].concat();
        self.book.heard("booking", reply.as_ref().ok(), &expected);
        if self.dice.bool() {
            self.cancel_newest(&api, user).await;
        }
    }

    /// Cancels the last order of `user` if it is a booking, at whatever it is by then.
    async fn cancel_newest(&mut self, api: &Api, user: UserId) {
        let Ok(orders) = api.get(&format!("/orders?userId={user}&after={}&limit=100", self.newest)).await
        else {
            return;
        };
        let newest = orders.body.as_array().and_then(|orders| orders.last()?["id"].as_i64());
        let Some(order) = newest else { return };
        self.newest = order;
        let reply = api.cancel(OrderId(order)).await;
        let expected = [StatusCode::ACCEPTED, StatusCode::NOT_FOUND, StatusCode::CONFLICT];
        self.book.heard("cancellation", reply.as_ref().ok(), &expected);
    }

    async fn update_profile(&mut self) {
        let (api, user) = (self.api(), self.book.any_user(&mut self.dice));
        let name = format!("{:08x}", self.dice.u32(..));
        let profile =
            json!({"email": format!("{name}@example.org"), "firstName": name, "lastName": "Petrova"});
        let reply = api.update_profile(user, &profile, &[]).await;
        self.book.heard("profile", reply.as_ref().ok(), &[StatusCode::OK]);
    }
}
