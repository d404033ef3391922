//! Synchronous orchestration: services call each other over HTTP and answer when all is done.
//!
//! Read [`order`] first: its `create_order` is the style. Then `calls`, what it asks of others, `waiting`, how long a client
//! waits for it, and [`recovery`], which finishes what a crash left.

use std::pin::Pin;

use api::docs::document;
use api::gateway::Peers;
use clap::Subcommand;
use utoipa::openapi::OpenApi;

pub mod billing;
mod calls;
pub mod gateway;
pub mod notification;
pub mod order;
pub mod recovery;
mod waiting;

/// The services of the style, each with its settings.
#[derive(Clone, Debug, Subcommand)]
pub enum Service {
    /// The one address clients know; passes every request on to its owner.
    Gateway(gateway::Settings),
    /// Owns orders, and orchestrates.
    Order(order::Settings),
    /// Owns users and accounts.
    Billing(billing::Settings),
    /// Owns emails, and sends them.
    Notification(notification::Settings),
}

/// Runs a service until SIGTERM or Ctrl-C.
///
/// # Errors
/// When it cannot start: a setting is wrong, its address is taken, its database is away.
pub fn run(service: Service) -> Pin<Box<dyn Future<Output = anyhow::Result<()>>>> {
    Box::pin(async move {
        match service {
            Service::Gateway(settings) => gateway::run(settings).await,
            Service::Order(settings) => order::run(settings).await,
            Service::Billing(settings) => billing::run(settings).await,
            Service::Notification(settings) => notification::run(settings).await,
        }
    })
}

/// The OpenAPI document of each service.
pub fn api_documents() -> Vec<(&'static str, OpenApi)> {
    vec![
        ("gateway", document([gateway::routes(&Peers::nowhere()).into_openapi()])),
        ("order", document([order::routes().into_openapi(), api::order::routes().into_openapi()])),
        ("billing", document([billing::routes().into_openapi(), billing::shared_routes().into_openapi()])),
        ("notification", document([notification::routes().into_openapi()])),
    ]
}
