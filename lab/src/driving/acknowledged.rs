//! What clients know, and the checker holds the system to: what was acknowledged, and what was spoiled on purpose.

use std::collections::BTreeMap;

use domain::{OrderId, RequestId, UserId};

/// What the system acknowledged, and so must remember whatever happens.
#[derive(Clone, Debug, Default)]
pub struct Acknowledged {
    /// Users answered with 201.
    pub users: Vec<UserId>,
    /// Deposits answered with 200, summed up by user.
    pub deposits: BTreeMap<UserId, i64>,
    /// Direct withdrawals answered with 200, summed up by user.
    pub withdrawals: BTreeMap<UserId, i64>,
    /// Orders and the status they were answered with: `paid` or `rejected`.
    pub orders: BTreeMap<OrderId, &'static str>,
    /// Requests for orders answered with 202.
    pub requests: Vec<RequestId>,
    /// Registrations and deposits answered with 202.
    pub accepted: Vec<RequestId>,
    /// The newest version of a profile that an update was answered with.
    pub profiles: BTreeMap<UserId, i64>,
    /// Messages put on topics on purpose although they can never be handled.
    pub poison: Poison,
}

/// Messages that a test put on a topic although they can never be handled, by topic (its whole name), partition and offset;
/// and what has to come of them.
pub type Poison = BTreeMap<(String, i32, i64), Letter>;

/// What has to come of a message that can never be handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Letter {
    /// A dead letter, of one consumer at least.
    Expected,
    /// A dead letter, or nothing: it may be meant for no consumer.
    Possible,
}
