//! The messages of this style: commands, each with the replies to it. A command says what is to be done; who wants it done and why,
//! its reader does not know.

use domain::{Amount, EventId, Line, Money, OrderId, Prose, Recorded, Refusal, Refused, TicketId, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

messaging::messages! {
    "tickets":
        ReserveTicket -> TicketReserved | TicketRefused,
        ConfirmTicket -> TicketConfirmed,
        ReleaseTicket -> TicketReleased;
    "billing":
        WithdrawMoney -> MoneyWithdrawn | WithdrawalRefused,
        CancelWithdrawal -> WithdrawalCancelled;
    "emails": SendEmail;
    "order-updates":
        TicketReserved, TicketRefused, TicketConfirmed, TicketReleased,
        MoneyWithdrawn, WithdrawalRefused, WithdrawalCancelled;
}

/// An email address, as billing has it.
pub type Contact = Recorded<254>;

/// A seat is to be reserved.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReserveTicket {
    /// For which order.
    pub order_id: OrderId,
    /// At which event.
    pub event_id: EventId,
}

/// A seat is reserved.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TicketReserved {
    /// For which order.
    pub order_id: OrderId,
    /// The ticket.
    pub ticket_id: TicketId,
}

/// No seat is reserved.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TicketRefused {
    /// For which order.
    pub order_id: OrderId,
    /// Why not.
    pub error: Refused<Refusal>,
}

/// Messages that name an order and say nothing else.
macro_rules! of_an_order {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            /// Whose: the order's.
            pub order_id: OrderId,
        }
    )+};
}

of_an_order!(
    /// The reserved seat is to be sold.
    ConfirmTicket,
    /// The seat is sold.
    TicketConfirmed,
    /// A reserved seat is to be free again; one that is not reserved yet is not to be.
    ReleaseTicket,
    /// No seat is reserved for the order, and none will be.
    TicketReleased,
);

/// The price of an order is to be withdrawn.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WithdrawMoney {
    /// From whose account.
    pub user_id: UserId,
    /// For which order.
    pub order_id: OrderId,
    /// How much.
    pub price: Money<Amount>,
}

/// The price is withdrawn.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MoneyWithdrawn {
    /// For which order.
    pub order_id: OrderId,
    /// Where the user can be written to: billing owns that, and nobody else keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<Contact>,
}

/// Nothing is withdrawn.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WithdrawalRefused {
    /// For which order.
    pub order_id: OrderId,
    /// Why not.
    pub error: Refused<Refusal>,
    /// Where the user can be written to; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<Contact>,
}

/// A withdrawal is to be refunded; one that is not made yet is not to be.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CancelWithdrawal {
    /// From whose account.
    pub user_id: UserId,
    /// For which order.
    pub order_id: OrderId,
    /// How much.
    pub price: Money<Amount>,
}

/// Nothing is withdrawn for the order any more, and nothing will be.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WithdrawalCancelled {
    /// For which order.
    pub order_id: OrderId,
    /// How much has gone back; absent where nothing was withdrawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refunded: Option<Money<Amount>>,
    /// Where the user can be written to; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<Contact>,
}

/// An email is to be sent. Nobody waits for it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SendEmail {
    /// The order whose end it tells.
    pub order_id: OrderId,
    /// Whom it concerns.
    pub user_id: UserId,
    /// Where it goes.
    pub email: Contact,
    /// The subject.
    pub title: Line<1, 200>,
    /// The text.
    pub message: Prose<1, 10_000>,
}
