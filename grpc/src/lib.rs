//! Synchronous orchestration over RPC: as in the RESTful style services call each other and answer when all is done, but by typed
//! methods (Protocol Buffers over HTTP/2), and the caller spreads its calls over a peer's instances itself.
//!
//! Read [`order`] first: its `create_order` is the style. Then `calls`, what it asks of others. What goes over the wire is the crate
//! `rpc-contract`'s; how a call travels, the crate `rpc`'s; what finishes an order that a crash left, the crate `orchestration`'s.

use api::docs::document;
use clap::Subcommand;
use futures_util::future::BoxFuture;
use utoipa::openapi::OpenApi;

pub mod billing;
mod calls;
pub mod gateway;
pub mod notification;
pub mod order;

/// The services of the style. Each has `--help` with its settings.
#[derive(Clone, Debug, Subcommand)]
pub enum Service {
    /// The only service that clients call. It speaks HTTP with them, and gRPC with the service that owns the data.
    Gateway(gateway::Settings),
    /// Owns the orders, and calls the other services for each of them.
    Order(order::Settings),
    /// Owns the users and their accounts.
    Billing(billing::Settings),
    /// Owns the emails, and sends them.
    Notification(notification::Settings),
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
    }
}

/// The OpenAPI document of the gateway. What the other services are asked is in the `.proto` files.
pub fn api_documents() -> Vec<(&'static str, OpenApi)> {
    vec![("gateway", document([gateway::routes().into_openapi()]))]
}
