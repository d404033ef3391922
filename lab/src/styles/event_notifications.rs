//! `event-notifications`

use clap::{FromArgMatches as _, Subcommand as _};

use super::features::{Counts, EVENT_CRASH_POINTS, EVENT_POINTS, Features};
use super::service::Service;
use super::style::Style;
use super::walk::{Walk, code};

pub(super) const STYLE: Style = Style {
    name: "event-notifications",
    about: "Choreography with thin events: notified, services ask the owner",
    services: Service::USUAL,
    features: Features {
        refuses_orders_while_billing_is_away: false,
        // The order service asks who orders, billing what the order costs, the gateway and notification how it ended, and
        // notification whom to tell.
        cost_of_a_paid_order: Counts { http_requests: 5, gets: 5, messages: 4, ..Counts::NONE },
        orders_wait_for_billing: true,
        requests_are_messages: true,
        has_bookings: false,
        has_replicas: false,
        orchestrates: false,
        callers_choose_instances: false,
        points: EVENT_POINTS,
        crash_points: EVENT_CRASH_POINTS,
        rebuilds: &[],
    },
    walk: Walk {
        asked: &[code!("event-notifications/src/gateway.rs": create_order)],
        pending: &[code!("event-notifications/src/order.rs": gather, on_orders_requested)],
        withdrawn: &[code!("event-notifications/src/billing.rs": gather, on_withdrawals_requested)],
        settled: &[code!("event-notifications/src/order.rs": on_withdrawals_processed)],
        told: &[code!("event-notifications/src/gateway.rs": processed)],
        written_to: &[code!("event-notifications/src/notification.rs": gather, on_orders_processed)],
    },
    api_documents: event_notifications::api_documents,
    topology: event_notifications::topology,
    message_types: event_notifications::messages::TYPES,
    async_documents: event_notifications::async_documents,
    commands: event_notifications::Service::augment_subcommands,
    run: |arguments| Ok(event_notifications::run(event_notifications::Service::from_arg_matches(arguments)?)),
};
