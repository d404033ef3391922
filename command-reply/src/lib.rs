//! Orchestration over a broker: the order service commands, participants reply, and a saga keeps where each order stands.
//!
//! Read [`saga`] first: it is what the style decides. Then [`order`], which stores and says it; then [`billing`] and [`ticket`],
//! the participants, and [`notification`], to which nobody listens. What clients ask for beside orders is in `bookings`.

use api::docs::document;
use api::gateway::BookingPeers;
use clap::Subcommand;
use futures_util::future::BoxFuture;
use messaging::TopicCommand;
use service::{ConsumerSettings, NotificationSettings};
use utoipa::openapi::OpenApi;

pub use channels::{async_documents, topology};

pub mod billing;
mod bookings;
mod channels;
pub mod gateway;
pub mod messages;
pub mod notification;
pub mod order;
mod orders;
pub mod saga;
pub mod ticket;

/// The services of the style, and commands that do something once. Each has `--help` with its settings.
#[derive(Clone, Debug, Subcommand)]
pub enum Service {
    /// The only service that clients call. It passes every request on to the service that owns the data.
    Gateway(gateway::Settings),
    /// Owns the orders, and says what is to be done for each of them.
    Order(order::Settings),
    /// Owns the users and their accounts.
    Billing(billing::Settings),
    /// Owns the emails, and sends them.
    Notification(NotificationSettings),
    /// Owns events and their seats.
    Ticket(ConsumerSettings),
    /// What is done once about topics and dead letters.
    #[command(flatten)]
    Topics(TopicCommand),
}

/// Runs a service until SIGTERM or Ctrl-C.
///
/// # Errors
/// When it cannot start: a setting is wrong, its address is taken, its database is away.
pub fn run(service: Service) -> BoxFuture<'static, anyhow::Result<()>> {
    match service {
        Service::Gateway(settings) => Box::pin(gateway::run(settings)),
        Service::Order(settings) => Box::pin(order::run(settings, bookings::routes())),
        Service::Billing(settings) => Box::pin(billing::run(settings)),
        Service::Notification(settings) => Box::pin(notification::run(settings)),
        Service::Ticket(settings) => Box::pin(ticket::run(settings)),
        Service::Topics(command) => Box::pin(command.run(topology())),
    }
}

/// The OpenAPI document of each service.
pub fn api_documents() -> Vec<(&'static str, OpenApi)> {
    let orders = order::routes().merge(bookings::routes()).into_openapi();
    vec![
        ("gateway", document([gateway::routes(&BookingPeers::nowhere()).into_openapi()])),
        ("order", document([orders, api::order::routes().merge(api::bookings::reads()).into_openapi()])),
        ("billing", document([billing::routes().into_openapi(), billing::shared_routes().into_openapi()])),
        ("notification", document([notification::routes().into_openapi()])),
        ("ticket", document([ticket::routes().into_openapi()])),
    ]
}
