//! The order's states: pending, then paid or rejected, and never anything after that. The statement that settles an order
//! holds the last part: it changes pending ones only.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Codes, Refused};

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "lowercase"))]
#[serde(rename_all = "lowercase")]
pub enum OrderStatus {
    /// Stored; billing has not decided yet, or its decision has not arrived.
    Pending,
    /// The price was withdrawn.
    Paid,
    /// No money is withdrawn for it, and none will be: what was withdrawn is refunded.
    Rejected,
}

impl OrderStatus {
    /// As it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Paid => "paid",
            Self::Rejected => "rejected",
        }
    }
}

/// Why an order was rejected, its `reason`: most of the time since billing refused its withdrawal. An outcome, not a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "kebab-case"))]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "OrderRefusal")]
pub enum Refusal {
    /// The balance is smaller than the price.
    InsufficientFunds,
    /// There is no such user, hence no account.
    AccountNotFound,
    /// Of bookings only: no seat is free.
    SoldOut,
    /// Of bookings only: there is no such event.
    EventNotFound,
    /// Of bookings only: the client has cancelled it.
    Cancelled,
    /// Of bookings only: it was not decided in time.
    TimedOut,
}

impl Codes for Refusal {
    const REFUSED: &'static str = "OrderRefused";
}

impl Refusal {
    /// As it is stored and said.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InsufficientFunds => "insufficient-funds",
            Self::AccountNotFound => "account-not-found",
            Self::SoldOut => "sold-out",
            Self::EventNotFound => "event-not-found",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed-out",
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::InsufficientFunds => "The account does not hold this amount.",
            Self::AccountNotFound => "There is no such user, hence no account.",
            Self::SoldOut => "The event is sold out.",
            Self::EventNotFound => "There is no such event.",
            Self::Cancelled => "The order was cancelled.",
            Self::TimedOut => "The order was not decided in time.",
        })
    }
}

/// The decision about an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// The price was withdrawn.
    Paid,
    /// It was not, and this is why.
    Rejected(Refusal),
}

impl Settlement {
    /// The status that a pending order gets, and why if it is rejected.
    pub fn status_and_reason(self) -> (OrderStatus, Option<Refusal>) {
        match self {
            Self::Paid => (OrderStatus::Paid, None),
            Self::Rejected(why) => (OrderStatus::Rejected, Some(why)),
        }
    }

    /// Why the order is rejected, as messages tell it; `None` for a paid one.
    pub fn refused(self) -> Option<Refused<Refusal>> {
        self.status_and_reason().1.map(Refused::from)
    }

    /// The decision that a message tells: whether the money was refused.
    pub fn told(refused: Option<&Refused<Refusal>>) -> Self {
        refused.map_or(Self::Paid, |refused| Self::Rejected(refused.code))
    }

    /// The decision that a stored status and reason stand for; `None` while pending.
    pub fn of(status: OrderStatus, reason: Option<Refusal>) -> Option<Self> {
        match (status, reason) {
            (OrderStatus::Paid, _) => Some(Self::Paid),
            (OrderStatus::Rejected, Some(why)) => Some(Self::Rejected(why)),
            (OrderStatus::Rejected, None) | (OrderStatus::Pending, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_settlement_survives_being_stored() {
        for settlement in [Settlement::Paid, Settlement::Rejected(Refusal::AccountNotFound)] {
            let (status, reason) = settlement.status_and_reason();
            assert_eq!(Settlement::of(status, reason), Some(settlement));
        }
        assert_eq!(Settlement::of(OrderStatus::Pending, None), None);
    }

    #[test]
    fn a_settlement_survives_being_told() {
        for settlement in [Settlement::Paid, Settlement::Rejected(Refusal::InsufficientFunds)] {
            assert_eq!(Settlement::told(settlement.refused().as_ref()), settlement);
        }
    }
}
