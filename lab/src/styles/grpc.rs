//! `grpc`

use clap::{FromArgMatches as _, Subcommand as _};
use messaging::Topology;

use super::features::{Counts, Features, Points};
use super::service::Service::{self, Billing, Notification, Order};
use super::style::Style;
use super::walk::{Walk, code};

pub(super) const STYLE: Style = Style {
    name: "grpc",
    about: "Synchronous orchestration over gRPC",
    services: Service::USUAL,
    features: Features {
        refuses_orders_while_billing_is_away: true,
        // CreateOrder; GetUser, Withdraw, SendEmail.
        cost_of_a_paid_order: Counts { rpcs: 4, ..Counts::NONE },
        orders_wait_for_billing: false,
        requests_are_messages: false,
        has_bookings: false,
        has_replicas: false,
        orchestrates: true,
        callers_choose_instances: true,
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
    },
    walk: Walk {
        asked: &[code!("grpc/src/order.rs": create_order)],
        pending: &[code!("shared/orchestration/src/steps.rs": begin)],
        withdrawn: &[code!("grpc/src/order.rs": decide), code!("grpc/src/calls.rs": withdraw)],
        settled: &[code!("shared/orchestration/src/steps.rs": settle)],
        told: &[code!("grpc/src/order.rs": outcome), code!("grpc/src/gateway.rs": create_order)],
        written_to: &[code!("grpc/src/order.rs": send_email), code!("grpc/src/calls.rs": send_email)],
    },
    api_documents: grpc::api_documents,
    topology: Topology::default,
    message_types: &[],
    async_documents: Vec::new,
    commands: grpc::Service::augment_subcommands,
    run: |arguments| Ok(grpc::run(grpc::Service::from_arg_matches(arguments)?)),
};
