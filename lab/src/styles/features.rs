//! What is honestly different between styles, so that nobody has to ask for one by its name.

use super::service::Service;

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
    /// What clients ask for travels as a message, and the gateway waits for another one. Otherwise it is passed on over HTTP.
    pub requests_are_messages: bool,
    /// Orders may have a ticket, which is reserved and, if need be, released.
    pub has_bookings: bool,
    /// Services keep replicas of what others own.
    pub has_replicas: bool,
    /// An orchestrator runs the flow, keeps a list of what is unfinished, and asks again until it is.
    pub orchestrates: bool,
    /// Who calls a service is told of all of its instances, and chooses one for each call. Otherwise that is left to the platform.
    pub callers_choose_instances: bool,
    /// Crash points that are in every style, if not under one name.
    pub points: Points,
    /// Where `kill -9` must do no harm: the service that dies, and the crash point in its code.
    pub crash_points: &'static [(Service, &'static str)],
    /// What is done once to rebuild a replica while everything runs: whose, and the command of the style.
    pub rebuilds: &'static [(Service, &'static str)],
}

impl Features {
    /// Services send each other messages.
    pub fn has_messages(&self) -> bool {
        self.cost_of_a_paid_order.messages > 0
    }

    /// Services call each other by RPC.
    pub fn has_rpcs(&self) -> bool {
        self.cost_of_a_paid_order.rpcs > 0
    }
}

/// How often services talk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counts {
    /// HTTP requests between services, retries included. The client's own request to the gateway is not one of them.
    pub http_requests: usize,
    /// The ones among them that only read: `GET`.
    pub gets: usize,
    /// Calls by gRPC between services, repeated ones included. What they are made of in HTTP/2 is not counted beside them.
    pub rpcs: usize,
    /// Messages sent to a broker. How many consumers read one makes no difference here.
    pub messages: usize,
}

impl Counts {
    /// Nobody talks.
    pub const NONE: Self = Self { http_requests: 0, gets: 0, rpcs: 0, messages: 0 };
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
    pub email_committed: (Service, &'static str),
}

/// The same in every style that has messages.
pub(super) const EVENT_POINTS: Points = Points {
    order_pending: "outbox::committed",
    withdrawal_received: "billing::withdrawal_received",
    withdrawal_committed: "outbox::committed",
    email_committed: (Service::Notification, "messaging::effect_committed"),
};

/// Where messages pass in every style that has them.
pub(super) const EVENT_CRASH_POINTS: &[(Service, &str)] = {
    use Service::{Billing, Gateway, Notification, Order};
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
