//! Choreography with thin events: services notify each other that something has happened, and who needs to know more asks the
//! owner with a GET.
//!
//! Read [`order`] first, then [`billing`] and [`notification`], which are notified; then `calls`, what they ask; then
//! [`gateway`], which turns requests into messages and messages into answers.

use api::docs::document;
use api::gateway::Peers;
pub use channels::{async_documents, topology};
use clap::Subcommand;
use futures_util::future::BoxFuture;
use messaging::TopicCommand;
use service::GatewaySettings;
use utoipa::openapi::OpenApi;

pub mod billing;
mod calls;
mod channels;
pub mod gateway;
pub mod messages;
pub mod notification;
pub mod order;

/// The services of the style, and commands that do something once. Each has `--help` with its settings.
#[derive(Clone, Debug, Subcommand)]
pub enum Service {
    /// The only service that clients call. It turns requests into messages.
    Gateway(GatewaySettings),
    /// Owns the orders.
    Order(order::Settings),
    /// Owns the users and their accounts.
    Billing(billing::Settings),
    /// Owns the emails, and sends them.
    Notification(notification::Settings),
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
        Service::Order(settings) => Box::pin(order::run(settings)),
        Service::Billing(settings) => Box::pin(billing::run(settings)),
        Service::Notification(settings) => Box::pin(notification::run(settings)),
        Service::Topics(command) => Box::pin(command.run(topology())),
    }
}

/// The OpenAPI document of each service.
pub fn api_documents() -> Vec<(&'static str, OpenApi)> {
    let gateway =
        [gateway::own_routes().into_openapi(), api::gateway::routes(&Peers::nowhere()).into_openapi()];
    vec![
        ("gateway", document(gateway)),
        ("order", document([order::routes().into_openapi()])),
        ("billing", document([billing::routes().into_openapi(), api::billing::routes().into_openapi()])),
        ("notification", document([notification::routes().into_openapi()])),
    ]
}
