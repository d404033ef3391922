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

/// What commands and replies say: each is about an order.
macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $field:ident: $type:ty,)* })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            /// The order that it is about.
            pub order_id: OrderId,
            $($(#[$about])* pub $field: $type,)*
        }
    )+};
}

bodies! {
    /// A seat is to be reserved.
    ReserveTicket {
        /// At which event.
        event_id: EventId,
    }

    /// A seat is reserved.
    TicketReserved {
        /// The ticket.
        ticket_id: TicketId,
    }

    /// No seat is reserved.
    TicketRefused {
        /// Why not.
        error: Refused<Refusal>,
    }

    /// The reserved seat is to be sold.
    ConfirmTicket {}

    /// The seat is sold.
    TicketConfirmed {}

    /// A reserved seat is to be free again; one that is not reserved yet is not to be.
    ReleaseTicket {}

    /// No seat is reserved for the order, and none will be.
    TicketReleased {}

    /// The price of an order is to be withdrawn.
    WithdrawMoney {
        /// From whose account.
        user_id: UserId,
        /// How much.
        price: Money<Amount>,
    }

    /// The price is withdrawn.
    MoneyWithdrawn {
        /// Where the user can be written to: billing owns that, and nobody else keeps it.
        #[serde(skip_serializing_if = "Option::is_none")]
        contact: Option<Contact>,
    }

    /// Nothing is withdrawn.
    WithdrawalRefused {
        /// Why not.
        error: Refused<Refusal>,
        /// Where the user can be written to; absent where there is none.
        #[serde(skip_serializing_if = "Option::is_none")]
        contact: Option<Contact>,
    }

    /// The withdrawal with the same correlation id is to be refunded; one that is not made yet is not to be.
    CancelWithdrawal {
        /// From whose account.
        user_id: UserId,
        /// How much.
        price: Money<Amount>,
    }

    /// Nothing is withdrawn for the order any more, and nothing will be.
    WithdrawalCancelled {
        /// How much has gone back; absent where nothing was withdrawn.
        #[serde(skip_serializing_if = "Option::is_none")]
        refunded: Option<Money<Amount>>,
        /// Where the user can be written to; absent where there is none.
        #[serde(skip_serializing_if = "Option::is_none")]
        contact: Option<Contact>,
    }

    /// An email is to be sent. Nobody waits for it.
    SendEmail {
        /// Whom it concerns.
        user_id: UserId,
        /// Where it goes.
        email: Contact,
        /// The subject.
        title: Line<1, 200>,
        /// The text.
        message: Prose<1, 10_000>,
    }
}
