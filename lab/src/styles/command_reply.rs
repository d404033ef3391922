//! `command-reply`

use clap::{FromArgMatches as _, Subcommand as _};

use super::features::{Counts, EVENT_POINTS, Features};
use super::service::Service::{Billing, Gateway, Notification, Order, Ticket};
use super::style::Style;
use super::walk::{Walk, code};

pub(super) const STYLE: Style = Style {
    name: "command-reply",
    about: "Orchestration over a broker: commands, replies, and a saga",
    services: &[Billing, Notification, Ticket, Order, Gateway],
    features: Features {
        refuses_orders_while_billing_is_away: false,
        // The gateway passes the order on; a command to billing, its reply, and a command to notification.
        cost_of_a_paid_order: Counts { http_requests: 1, messages: 3, ..Counts::NONE },
        orders_wait_for_billing: false,
        requests_are_messages: false,
        has_bookings: true,
        has_replicas: false,
        callers_choose_instances: false,
        orchestrates: false,
        points: EVENT_POINTS,
        crash_points: &[
            (Order, "outbox::committed"),
            (Order, "messaging::consumed"),
            (Order, "messaging::gathered"),
            (Order, "messaging::effect_committed"),
            (Order, "messaging::offset_stored"),
            (Order, "messaging::offset_committed"),
            (Order, "relay::produced"),
            (Order, "relay::acked"),
            (Order, "relay::row_deleted"),
            (Billing, "messaging::consumed"),
            (Billing, "messaging::gathered"),
            (Billing, "billing::withdrawal_received"),
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
        ],
        rebuilds: &[],
    },
    walk: Walk {
        asked: &[code!("command-reply/src/order.rs": create_order)],
        pending: &[code!("command-reply/src/order.rs": begin)],
        withdrawn: &[code!("command-reply/src/billing.rs": withdraw_money)],
        settled: &[
            code!("command-reply/src/order.rs": on_reply),
            code!("command-reply/src/saga.rs": next),
            code!("command-reply/src/orders.rs": advance),
        ],
        told: &[code!("shared/orchestration/src/waiting.rs": settled_after_news)],
        written_to: &[code!("command-reply/src/notification.rs": send_emails)],
    },
    api_documents: command_reply::api_documents,
    topology: command_reply::topology,
    message_types: command_reply::messages::TYPES,
    async_documents: command_reply::async_documents,
    commands: command_reply::Service::augment_subcommands,
    run: |arguments| Ok(command_reply::run(command_reply::Service::from_arg_matches(arguments)?)),
};
