//! Choreography with fat events: services tell each other everything that is needed, and keep local replicas of what others
//! own. Nobody asks anybody.
//!
//! Read [`order`] first, then [`billing`] and [`notification`], which hear of it; then `replica` and [`replication`], which are
//! what this style pays with; then [`gateway`], which turns requests into messages and messages into answers.

use api::docs::document;
use api::gateway::Peers;
pub use channels::{async_documents, topology};
use clap::Subcommand;
use futures_util::future::BoxFuture;
use messaging::TopicCommand;
use service::{ConsumerSettings, GatewaySettings, NotificationSettings};
use utoipa::openapi::OpenApi;

pub mod billing;
mod channels;
pub mod gateway;
pub mod messages;
pub mod notification;
pub mod order;
pub mod parked;
pub mod replica;
pub mod replication;

/// The services of the style, and commands that do something once. Each has `--help` with its settings.
#[derive(Clone, Debug, Subcommand)]
pub enum Service {
    /// The only service that clients call. It turns requests into messages.
    Gateway(GatewaySettings),
    /// Owns the orders.
    Order(ConsumerSettings),
    /// Owns the users and their accounts.
    Billing(ConsumerSettings),
    /// Owns the emails, and sends them.
    Notification(NotificationSettings),
    /// What is done once about topics and dead letters.
    #[command(flatten)]
    Topics(TopicCommand),
    /// Rebuilds a service's replica of the users from the beginning of the topic, while the service runs. Then it ends.
    RebuildReplica(replication::Settings),
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
        Service::RebuildReplica(settings) => Box::pin(replication::rebuild(settings)),
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
