//! Identifiers as newtypes, so that an order can never be looked up by a user's id.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::whole;

macro_rules! database_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema, ToSchema)]
        #[schemars(inline)]
        #[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                whole::number(deserializer).map(Self)
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

database_id!(
    /// A user, and that user's billing account. Given out by billing.
    UserId
);
database_id!(
    /// An order. Given out by the order service.
    OrderId
);
database_id!(
    /// An email. Given out by the notification service.
    EmailId
);

database_id!(
    /// An event that tickets are sold for. Named by whoever sells them.
    EventId
);
database_id!(
    /// A ticket: a seat at an event, for one order. Given out by the ticket service.
    TicketId
);

/// What a request asks for. Part of the request id, so that one `Idempotency-Key` used for a deposit and for an order
/// names two requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `POST /billing/user`
    CreateUser,
    /// `POST /billing/deposit/{userId}`
    Deposit,
    /// `POST /billing/withdraw/{userId}`
    Withdraw,
    /// `POST /billing/withdraw/{userId}` for an order. Apart from [`Self::Withdraw`], so that no key of a client's can get
    /// in the way of an order's withdrawal.
    PayOrder,
    /// The refund of an order's withdrawal.
    RefundOrder,
    /// `POST /orders`
    CreateOrder,
    /// `POST /bookings`
    CreateBooking,
    /// `POST /notification/email/{userId}`
    SendEmail,
    /// `POST /notification/email/{userId}` about an order; apart from [`Self::SendEmail`] for the same reason.
    SendOrderEmail,
}

impl Operation {
    /// The name under which the operation is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CreateUser => "create-user",
            Self::Deposit => "deposit",
            Self::Withdraw => "withdraw",
            Self::PayOrder => "pay-order",
            Self::RefundOrder => "refund-order",
            Self::CreateOrder => "create-order",
            Self::CreateBooking => "create-booking",
            Self::SendEmail => "send-email",
            Self::SendOrderEmail => "send-order-email",
        }
    }
}

/// Identifies one request of a client, however often it is repeated. In event styles it is the correlation id as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
#[serde(transparent)]
pub struct RequestId(pub Uuid);

impl RequestId {
    /// The namespace of request ids: a name-based UUID (RFC 9562, version 5) needs one, its value means nothing.
    const NAMESPACE: Uuid = Uuid::from_u128(0x6f0c_9a52_7d1e_4c38_9b64_2f8a_51c7_e0d3);

    /// The request that `key` (the `Idempotency-Key` header) names. Deterministic, so that every instance of the gateway and
    /// every service derives the same id without asking anyone.
    pub fn derive(operation: Operation, key: &str) -> Self {
        Self(Uuid::new_v5(&Self::NAMESPACE, format!("{}:{key}", operation.as_str()).as_bytes()))
    }
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for RequestId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_depends_on_the_key_and_the_operation_only() {
        let order = RequestId::derive(Operation::CreateOrder, "k1");
        assert_eq!(order, RequestId::derive(Operation::CreateOrder, "k1"));
        assert_ne!(order, RequestId::derive(Operation::CreateOrder, "k2"));
        assert_ne!(order, RequestId::derive(Operation::Deposit, "k1"));
    }
}
