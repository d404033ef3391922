//! Who says what to whom in this style: its topics, and the AsyncAPI document of each service.
//!
//! What a service hears is what its consumer handles. What it says is declared here, and checked against what really passes.

use messaging::asyncapi::{self, MessageType, Party};
use messaging::{Incoming as _, Topology};
use serde_json::Value;

use crate::messages::{
    DepositProcessed, DepositRequested, OrderCreationRequested, OrderProcessed, UserCreationProcessed,
    UserCreationRequested, UserUpdated, WithdrawalProcessed, WithdrawalRequested,
};
use crate::{billing, gateway, notification, order};

/// The key of most messages: what concerns one user stays in order.
const USER: &str = "The user's id.";

/// The topics of the style, and who reads them.
pub fn topology() -> Topology {
    let consumers = vec![
        ("order", order::Incoming::topics()),
        ("billing", billing::Incoming::topics()),
        ("notification", notification::Incoming::topics()),
    ];
    Topology { kept: Vec::new(), passing: vec!["billing", "orders", "users"], consumers }
}

/// The AsyncAPI document of each service.
pub fn async_documents() -> Vec<(&'static str, Value)> {
    let gateway = Party::new("gateway", "The one address clients know.")
        .asks::<UserCreationRequested>(
            "The username as requested: there is no id yet.",
            [MessageType::of::<UserCreationProcessed>()],
        )
        .asks::<DepositRequested>(USER, [MessageType::of::<DepositProcessed>()])
        .asks::<OrderCreationRequested>(USER, [MessageType::of::<OrderProcessed>()])
        .hears::<gateway::Incoming>(None);
    let order = Party::new("order", "Owns orders.")
        .says::<WithdrawalRequested>(USER)
        .says::<OrderProcessed>(USER)
        .hears::<order::Incoming>("order");
    let billing = Party::new("billing", "Owns users and accounts.")
        .says::<UserCreationProcessed>("The user's id; the username as requested where there is no user.")
        .says_to_nobody::<UserUpdated>(USER)
        .says::<DepositProcessed>(USER)
        .says::<WithdrawalProcessed>(USER)
        .hears::<billing::Incoming>("billing");
    let notification = Party::new("notification", "Owns emails, and sends them.")
        .hears::<notification::Incoming>("notification");
    asyncapi::documents("event-notifications", &topology(), &[gateway, order, billing, notification])
}
