//! The channels of this style, and the AsyncAPI document of each service: which commands it takes, and what it replies.
//!
//! What a service hears is what its consumer handles, and the replies are said with their command. The commands that a service sends
//! are declared here, and checked against what really passes.

use messaging::asyncapi::{self, Party};
use messaging::{Incoming as _, Topology};
use serde_json::Value;

use crate::messages::{
    CancelWithdrawal, ConfirmTicket, ReleaseTicket, ReserveTicket, SendEmail, WithdrawMoney,
};
use crate::{billing, notification, order, ticket};

/// The key of most messages: what concerns one user stays in order.
const USER: &str = "The user's id.";
/// The key where nobody knows whose order it is.
const ORDER: &str = "The order's id.";

/// The topics of the style, and who reads them.
pub fn topology() -> Topology {
    let consumers = vec![
        ("order", order::Incoming::topics()),
        ("billing", billing::Incoming::topics()),
        ("notification", notification::Incoming::topics()),
        ("ticket", ticket::Incoming::topics()),
    ];
    let passing = vec!["billing", "emails", "order-updates", "tickets"];
    Topology { kept: Vec::new(), passing, consumers }
}

/// The AsyncAPI document of each service that has messages.
pub fn async_documents() -> Vec<(&'static str, Value)> {
    let order = Party::new("order", "Owns orders, and orchestrates.")
        .says::<ReserveTicket>(USER)
        .says::<ConfirmTicket>(USER)
        .says::<ReleaseTicket>(USER)
        .says::<WithdrawMoney>(USER)
        .says::<CancelWithdrawal>(USER)
        .says::<SendEmail>(USER)
        .hears::<order::Incoming>("order");
    let billing =
        Party::new("billing", "Owns users and accounts.").hears::<billing::Incoming>("billing").replies(USER);
    let notification = Party::new("notification", "Owns emails, and sends them.")
        .hears::<notification::Incoming>("notification");
    let ticket = Party::new("ticket", "Owns events and their seats.")
        .hears::<ticket::Incoming>("ticket")
        .replies(ORDER);
    asyncapi::documents("command-reply", &topology(), &[order, billing, notification, ticket])
}
