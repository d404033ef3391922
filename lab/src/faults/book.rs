//! What clients know and remember: users, orders with a key, and answers that contradict each other or the contract.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::{OrderId, UserId};
use fastrand::Rng;
use reqwest::StatusCode;

use crate::driving::{Api, Reply, eventually};

/// Users from the beginning.
const USERS: usize = 4;
/// Users that clients register later, at most: few accounts are contended ones.
const USERS_MAX: usize = 12;
/// What a user has at the beginning.
const DEPOSIT: i64 = 500;
/// How long it may take until there are users.
const OPEN_MAX: Duration = Duration::from_secs(10);

/// An order that may be asked for again.
#[derive(Clone, Debug)]
pub(super) struct Keyed {
    pub(super) key: String,
    pub(super) user: UserId,
    pub(super) price: i64,
}

/// How an order ended: its status as an HTTP status, and its id.
type Ending = (StatusCode, Option<OrderId>);

/// Shared by all clients.
#[derive(Clone, Default)]
pub(super) struct Book(Arc<Mutex<Entries>>);

#[derive(Default)]
struct Entries {
    users: Vec<UserId>,
    keyed: Vec<Keyed>,
    endings: BTreeMap<String, Ending>,
    contradictions: Vec<String>,
    answers: BTreeMap<String, u64>,
}

impl Book {
    /// A book of a few users with a little money.
    pub(super) async fn open(api: &Api, dice: &mut Rng) -> anyhow::Result<Self> {
        let book = Self::default();
        for _ in 0..USERS {
            let money = DEPOSIT + dice.i64(0..DEPOSIT);
            let user = eventually(OPEN_MAX, async || api.create_user_with(money).await).await?;
            book.add_user(user);
        }
        Ok(book)
    }

    pub(super) fn add_user(&self, user: UserId) {
        self.entries().users.push(user);
    }

    pub(super) fn wants_users(&self) -> bool {
        self.entries().users.len() < USERS_MAX
    }

    pub(super) fn any_user(&self, dice: &mut Rng) -> UserId {
        let entries = self.entries();
        entries.users[dice.usize(..entries.users.len())]
    }

    /// Remembers an order before it is asked for the first time.
    pub(super) fn add_keyed(&self, order: &Keyed) {
        self.entries().keyed.push(order.clone());
    }

    /// One of those asked for before, most likely a recent one; `None` if there is none yet.
    pub(super) fn any_keyed(&self, dice: &mut Rng) -> Option<Keyed> {
        let entries = self.entries();
        let recent = entries.keyed.len().min(if dice.bool() { 5 } else { 100 });
        let chosen = dice.usize(..recent.max(1));
        entries.keyed.iter().rev().nth(chosen).cloned()
    }

    /// Counts an answer. One that is neither among `expected` nor a 503 breaks the contract.
    pub(super) fn heard(&self, what: &str, outcome: Option<&Reply>, expected: &[StatusCode]) {
        let mut entries = self.entries();
        let status = outcome.map_or("none".to_owned(), |reply| reply.status.as_u16().to_string());
        *entries.answers.entry(format!("{what} {status}")).or_default() += 1;
        if let Some(reply) = outcome
            && reply.status != StatusCode::SERVICE_UNAVAILABLE
            && !expected.contains(&reply.status)
        {
            entries.contradictions.push(format!("{what} was answered with {} {}", reply.status, reply.body));
        }
    }

    /// Compares how an order ended with what was said about the same key before.
    pub(super) fn ended(&self, key: &str, reply: &Reply) {
        let ended = matches!(reply.status, StatusCode::CREATED | StatusCode::PRECONDITION_FAILED);
        if !ended {
            return;
        }
        let ending = (reply.status, reply.order_id());
        let mut entries = self.entries();
        let first = *entries.endings.entry(key.to_owned()).or_insert(ending);
        if first != ending {
            entries.contradictions.push(format!("order {key} was {first:?} first and is {ending:?} now"));
        }
    }

    /// What must not have been said.
    pub(super) fn contradictions(&self) -> Vec<String> {
        self.entries().contradictions.clone()
    }

    /// How often what was answered.
    pub(super) fn summary(&self) -> String {
        let entries = self.entries();
        let answers = entries.answers.iter().map(|(what, count)| format!("{what}: {count}"));
        answers.collect::<Vec<_>>().join(", ")
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
