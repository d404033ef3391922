//! `event-collab`

use clap::{FromArgMatches as _, Subcommand as _};

use super::features::{Counts, EVENT_CRASH_POINTS, EVENT_POINTS, Features};
use super::service::Service;
use super::style::Style;
use super::walk::{Walk, code};

pub(super) const STYLE: Style = Style {
    name: "event-collab",
    about: "Choreography with fat events: services keep replicas, and ask nobody",
    services: Service::USUAL,
    features: Features {
        refuses_orders_while_billing_is_away: false,
        cost_of_a_paid_order: Counts { messages: 4, ..Counts::NONE },
        orders_wait_for_billing: false,
        requests_are_messages: true,
        has_bookings: false,
        has_replicas: true,
        orchestrates: false,
        callers_choose_instances: false,
        points: EVENT_POINTS,
        crash_points: EVENT_CRASH_POINTS,
        rebuilds: &[
            (Service::Order, "rebuild-replica order"),
            (Service::Notification, "rebuild-replica notification"),
        ],
    },
    walk: Walk {
        asked: &[code!("event-collab/src/gateway.rs": create_order)],
        pending: &[code!("event-collab/src/order.rs": on_orders_requested)],
        withdrawn: &[code!("event-collab/src/billing.rs": on_withdrawals_requested)],
        settled: &[code!("event-collab/src/order.rs": on_withdrawals_processed)],
        told: &[code!("shared/api/src/order.rs": settled)],
        written_to: &[code!("event-collab/src/notification.rs": on_orders_processed)],
    },
    api_documents: event_collab::api_documents,
    topology: event_collab::topology,
    message_types: event_collab::messages::TYPES,
    async_documents: event_collab::async_documents,
    commands: event_collab::Service::augment_subcommands,
    run: |arguments| Ok(event_collab::run(event_collab::Service::from_arg_matches(arguments)?)),
};
