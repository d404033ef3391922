//! Who says what to whom in this style: its topics, and the AsyncAPI document of each service.
//!
//! What a service hears is what its consumers handle. What it says is declared here, and checked against what really passes.

use messaging::asyncapi::{self, MessageType, Party};
use messaging::{Incoming as _, Topology};
use serde_json::Value;

use crate::messages::{
    DepositProcessed, DepositRequested, OrderCreationRequested, OrderProcessed, UserCreationFailed,
    UserCreationRequested, UserCreationSucceeded, UserUpdated, WithdrawalProcessed, WithdrawalRequested,
};
use crate::{billing, gateway, notification, order, replication};

/// The key of most messages: what concerns one user stays in order.
const USER: &str = "The user's id.";
/// The key while there is no user yet.
const USERNAME: &str = "The username as requested: there is no id yet.";

/// The topics of the style, and who reads them. `users` keeps everything, so that a replica can be rebuilt.
pub fn topology() -> Topology {
    let consumers = vec![
        ("order", order::Incoming::topics()),
        ("order-users", replication::Incoming::topics()),
        ("billing", billing::Incoming::topics()),
        ("notification", notification::Incoming::topics()),
        ("notification-users", replication::Incoming::topics()),
    ];
    Topology { kept: vec!["users"], passing: vec!["billing", "orders"], consumers }
}

/// The AsyncAPI document of each service.
pub fn async_documents() -> Vec<(&'static str, Value)> {
    let user_created = [MessageType::of::<UserCreationSucceeded>(), MessageType::of::<UserCreationFailed>()];
    let gateway = Party::new("gateway", "The one address clients know.")
        .asks::<UserCreationRequested>(USERNAME, user_created)
        .asks::<DepositRequested>(USER, [MessageType::of::<DepositProcessed>()])
        .asks::<OrderCreationRequested>(USER, [MessageType::of::<OrderProcessed>()])
        .hears::<gateway::Incoming>(None);
    let order = Party::new("order", "Owns orders.")
        .says::<WithdrawalRequested>(USER)
        .says::<OrderProcessed>(USER)
        .hears::<order::Incoming>("order")
        .hears::<replication::Incoming>("order-users");
    let billing = Party::new("billing", "Owns users and accounts.")
        .says::<UserCreationSucceeded>(USER)
        .says::<UserCreationFailed>(USERNAME)
        .says::<UserUpdated>(USER)
        .says::<DepositProcessed>(USER)
        .says::<WithdrawalProcessed>(USER)
        .hears::<billing::Incoming>("billing");
    let notification = Party::new("notification", "Owns emails, and sends them.")
        .hears::<notification::Incoming>("notification")
        .hears::<replication::Incoming>("notification-users");
    asyncapi::documents("event-collab", &topology(), &[gateway, order, billing, notification])
}
