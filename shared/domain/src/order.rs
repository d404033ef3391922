//! The order's state machine: pending, then paid or rejected, and never anything after that.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "lowercase"))]
#[serde(rename_all = "lowercase")]
pub enum OrderStatus {
    /// Stored; billing has not decided yet, or its decision has not arrived.
    Pending,
    /// The price was withdrawn.
    Paid,
    /// Nothing was withdrawn, and nothing will be.
    Rejected,
}

/// Why billing refused a withdrawal. An outcome, not a failure: it becomes the order's `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "kebab-case"))]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// The balance is smaller than the price.
    InsufficientFunds,
    /// There is no such user, hence no account.
    AccountNotFound,
}

/// The decision about an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// The price was withdrawn.
    Paid,
    /// It was not, and this is why.
    Rejected(Refusal),
}

/// A terminal order was to change its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the order is {0:?} already and stays so")]
pub struct AlreadySettled(pub OrderStatus);

impl Settlement {
    /// The status and reason an order in status `from` gets.
    ///
    /// # Errors
    /// A terminal status never changes.
    pub fn apply(self, from: OrderStatus) -> Result<(OrderStatus, Option<Refusal>), AlreadySettled> {
        match (from, self) {
            (OrderStatus::Pending, Self::Paid) => Ok((OrderStatus::Paid, None)),
            (OrderStatus::Pending, Self::Rejected(why)) => Ok((OrderStatus::Rejected, Some(why))),
            (settled, _) => Err(AlreadySettled(settled)),
        }
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
    fn a_pending_order_settles_once() {
        let (paid, reason) = Settlement::Paid.apply(OrderStatus::Pending).unwrap();
        assert_eq!((paid, reason), (OrderStatus::Paid, None));
        let refused = Settlement::Rejected(Refusal::InsufficientFunds);
        assert_eq!(refused.apply(paid), Err(AlreadySettled(OrderStatus::Paid)));
        assert_eq!(Settlement::Paid.apply(OrderStatus::Rejected), Err(AlreadySettled(OrderStatus::Rejected)));
    }

    #[test]
    fn a_settlement_survives_being_stored() {
        for settlement in [Settlement::Paid, Settlement::Rejected(Refusal::AccountNotFound)] {
            let (status, reason) = settlement.apply(OrderStatus::Pending).unwrap();
            assert_eq!(Settlement::of(status, reason), Some(settlement));
        }
        assert_eq!(Settlement::of(OrderStatus::Pending, None), None);
    }
}
