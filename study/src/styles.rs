//! The registry of styles. A new style adds a line to `styles!` and is then brought up, tested, checked and compared like the
//! others; what is honestly different about it stands in its [`Features`].

use clap::Subcommand;
use messaging::Topology;
use serde_json::Value;
use utoipa::openapi::OpenApi;

use crate::traces::Counts;

/// In what a style differs, where the contract lets it: the tests ask here instead of knowing styles by name.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Features {
    /// An order is refused with 503, and nothing written, while billing is away. Otherwise it is accepted and decided later.
    pub refuses_orders_while_billing_is_away: bool,
    /// How often services talk to each other for one order, from the client's request to the email. A rejected order costs
    /// as much as a paid one.
    pub cost_of_a_paid_order: Counts,
    /// While billing is away, orders wait in front of the order service, which first asks who orders.
    pub orders_wait_for_billing: bool,
    /// Services keep replicas of what others own.
    pub has_replicas: bool,
    /// An orchestrator runs the flow, keeps a list of what is unfinished, and asks again until it is.
    pub orchestrates: bool,
    /// Crash points that are in every style, if not under one name.
    pub points: Points,
    /// Where `kill -9` must do no harm: the service that dies, and the crash point in its code.
    pub crash_points: &'static [(crate::Service, &'static str)],
    /// What is done once to rebuild a replica while everything runs: whose, and the command of the style.
    pub rebuilds: &'static [(crate::Service, &'static str)],
}

impl Features {
    /// Services send each other messages.
    pub fn has_messages(&self) -> bool {
        self.cost_of_a_paid_order.messages > 0
    }
}

/// Crash points by what has just happened.
#[derive(Clone, Copy, Debug)]
pub struct Points {
    /// In the order service: the pending order is committed.
    pub order_pending: &'static str,
    /// In billing: an order's withdrawal was asked for, and nothing is done yet.
    pub withdrawal_received: &'static str,
    /// In billing: it is decided and committed, and nobody knows yet.
    pub withdrawal_committed: &'static str,
    /// Where it is: the email is committed, and who asked for it does not know yet.
    pub email_committed: (crate::Service, &'static str),
}

/// A style: how to name it, how it differs, what its services say of themselves.
#[derive(Clone, Copy)]
pub struct Style {
    /// As on the command line.
    pub name: &'static str,
    /// How it differs.
    pub features: Features,
    /// The OpenAPI document of each service.
    pub api_documents: fn() -> [(&'static str, OpenApi); 4],
    /// Its Kafka topics, and who reads them; none for a style without messages.
    pub topology: fn() -> Topology,
    /// The type names of its messages.
    pub message_types: &'static [&'static str],
    /// The AsyncAPI document of each service; none for a style without messages.
    pub async_documents: fn() -> Vec<(&'static str, Value)>,
}

impl Style {
    /// The style called `name`.
    pub fn find(name: &str) -> Option<&'static Self> {
        STYLES.iter().find(|style| style.name == name)
    }
}

impl std::fmt::Debug for Style {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! styles {
    ($($(#[$doc:meta])* $variant:ident = $name:literal in $package:ident, $features:expr,
        $topology:expr, $types:expr, $documents:expr;)*) => {
        /// All styles, in the order in which they are shown.
        pub const STYLES: &[Style] =
            &[$(Style {
                name: $name,
                features: $features,
                api_documents: $package::api_documents,
                topology: $topology,
                message_types: $types,
                async_documents: $documents,
            }),*];

        /// `serve <style> <service>`
        #[derive(Clone, Debug, Subcommand)]
        pub enum Served {$(
            $(#[$doc])*
            #[command(name = $name)]
            $variant {
                /// Which service.
                #[command(subcommand)]
                service: $package::Service,
            },
        )*}

        impl Served {
            /// Runs the service until it is told to stop.
            pub(crate) async fn run(self) -> anyhow::Result<()> {
                match self { $(Self::$variant { service } => $package::run(service).await),* }
            }
        }
    };
}

styles! {
    /// Synchronous orchestration over HTTP.
    Restful = "restful" in restful, RESTFUL, Topology::default, &[], Vec::new;
    /// Choreography with thin events: notified, services ask the owner.
    EventNotifications = "event-notifications" in event_notifications, EVENT_NOTIFICATIONS,
        event_notifications::topology, event_notifications::messages::TYPES, || event_notifications::async_documents().into();
    /// Choreography with fat events: services keep replicas, and ask nobody.
    EventCollab = "event-collab" in event_collab, EVENT_COLLAB,
        event_collab::topology, event_collab::messages::TYPES, || event_collab::async_documents().into();
}

/// `restful`
const RESTFUL: Features = {
    use crate::Service::{Billing, Notification, Order};
    Features {
        refuses_orders_while_billing_is_away: true,
        // The gateway passes the order on; the orchestrator asks who orders, withdraws, and hands the email over.
        cost_of_a_paid_order: Counts { http_requests: 4, gets: 1, messages: 0 },
        orders_wait_for_billing: false,
        has_replicas: false,
        orchestrates: true,
        points: Points {
            order_pending: "order::pending",
            withdrawal_received: "billing::withdrawal_received",
            withdrawal_committed: "billing::withdrawal_committed",
            email_committed: (Order, "order::email_handed_over"),
        },
        crash_points: &[
            (Order, "order::pending"),
            (Billing, "billing::withdrawal_received"),
            (Billing, "billing::withdrawal_committed"),
            (Order, "order::withdrawal_answered"),
            (Order, "order::terminal"),
            (Order, "order::email_handed_over"),
            (Notification, "notification::email_stored"),
            (Notification, "mail::sending"),
            (Notification, "mail::connected"),
            (Notification, "mail::data"),
            (Notification, "mail::final_dot"),
            (Notification, "mail::accepted"),
            (Notification, "mail::sent"),
        ],
        rebuilds: &[],
    }
};

/// `event-notifications`
const EVENT_NOTIFICATIONS: Features = Features {
    refuses_orders_while_billing_is_away: false,
    // The order service asks who orders, billing what the order costs, the gateway and notification how it ended, and
    // notification whom to tell.
    cost_of_a_paid_order: Counts { http_requests: 5, gets: 5, messages: 4 },
    orders_wait_for_billing: true,
    has_replicas: false,
    orchestrates: false,
    points: EVENT_POINTS,
    crash_points: EVENT_CRASH_POINTS,
    rebuilds: &[],
};

/// `event-collab`
const EVENT_COLLAB: Features = Features {
    refuses_orders_while_billing_is_away: false,
    cost_of_a_paid_order: Counts { http_requests: 0, gets: 0, messages: 4 },
    orders_wait_for_billing: false,
    has_replicas: true,
    orchestrates: false,
    points: EVENT_POINTS,
    crash_points: EVENT_CRASH_POINTS,
    rebuilds: &[
        (crate::Service::Order, "rebuild-replica order"),
        (crate::Service::Notification, "rebuild-replica notification"),
    ],
};

/// The same in every style that has messages.
const EVENT_POINTS: Points = Points {
    order_pending: "outbox::committed",
    withdrawal_received: "billing::withdrawal_received",
    withdrawal_committed: "outbox::committed",
    email_committed: (crate::Service::Notification, "messaging::effect_committed"),
};

/// Where messages pass in every style that has them.
const EVENT_CRASH_POINTS: &[(crate::Service, &str)] = {
    use crate::Service::{Billing, Gateway, Notification, Order};
    &[
        (Gateway, "gateway::published"),
        (Order, "messaging::consumed"),
        (Order, "messaging::gathered"),
        (Order, "outbox::committed"),
        (Order, "messaging::effect_committed"),
        (Order, "messaging::offset_stored"),
        (Order, "messaging::offset_committed"),
        (Order, "relay::produced"),
        (Order, "relay::acked"),
        (Order, "relay::row_deleted"),
        (Billing, "messaging::consumed"),
        (Billing, "messaging::gathered"),
        (Billing, "outbox::committed"),
        (Billing, "messaging::effect_committed"),
        (Billing, "messaging::offset_stored"),
        (Billing, "messaging::offset_committed"),
        (Billing, "relay::produced"),
        (Billing, "relay::acked"),
        (Billing, "relay::row_deleted"),
        (Notification, "messaging::consumed"),
        (Notification, "messaging::gathered"),
        (Notification, "notification::email_stored"),
        (Notification, "messaging::effect_committed"),
        (Notification, "messaging::offset_stored"),
        (Notification, "messaging::offset_committed"),
        (Notification, "mail::sending"),
        (Notification, "mail::connected"),
        (Notification, "mail::data"),
        (Notification, "mail::final_dot"),
        (Notification, "mail::accepted"),
        (Notification, "mail::sent"),
    ]
};
