//! The services of the house. Each style says which of them it has.

use serde::{Deserialize, Serialize};

/// A service: a process of its own, which owns what others can only ask it for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Service {
    /// Owner of users and accounts.
    Billing,
    /// Owner of emails.
    Notification,
    /// Owner of orders.
    Order,
    /// Owner of events and their seats, where there are bookings.
    Ticket,
    /// What clients talk to.
    Gateway,
}

impl Service {
    /// Those of every style, callees first.
    pub const USUAL: &[Self] = &[Self::Billing, Self::Notification, Self::Order, Self::Gateway];

    /// Those of any style, callees first.
    pub const ALL: &[Self] = &[Self::Billing, Self::Notification, Self::Ticket, Self::Order, Self::Gateway];

    /// As on the command line; also the name of its schema, if it has tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Billing => "billing",
            Self::Notification => "notification",
            Self::Order => "order",
            Self::Ticket => "ticket",
            Self::Gateway => "gateway",
        }
    }

    /// The service called `name`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|service| service.name() == name)
    }

    /// The setting by which others are told where it is.
    pub fn url_setting(self) -> &'static str {
        match self {
            Self::Billing => "BILLING_URL",
            Self::Notification => "NOTIFICATION_URL",
            Self::Order => "ORDER_URL",
            Self::Ticket => "TICKET_URL",
            Self::Gateway => "GATEWAY_URL",
        }
    }

    /// Whether it has tables, and so a database role of its own. Only what clients talk to keeps nothing.
    pub fn has_tables(self) -> bool {
        self != Self::Gateway
    }
}
