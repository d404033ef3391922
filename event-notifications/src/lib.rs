//! Choreography with thin events: services notify each other that something has happened, and who needs to know more asks the
//! owner with a GET.
//!
//! Read [`order`] first, then [`billing`] and [`notification`], which are notified; then `calls`, what they ask; then
//! [`gateway`], which turns requests into messages and messages into answers.

use std::pin::Pin;

use api::docs::document;
use api::gateway::Peers;
pub use channels::async_documents;
use clap::Subcommand;
use messaging::{Incoming as _, KafkaSettings, ReplaySettings, Replayed, Topology};
use utoipa::openapi::OpenApi;

pub mod billing;
mod calls;
mod channels;
mod failure;
pub mod gateway;
pub mod messages;
pub mod notification;
pub mod order;

/// The services of the style, each with its settings; and what is done once.
#[derive(Clone, Debug, Subcommand)]
pub enum Service {
    /// The one address clients know; turns requests into messages.
    Gateway(gateway::Settings),
    /// Owns orders.
    Order(order::Settings),
    /// Owns users and accounts.
    Billing(billing::Settings),
    /// Owns emails, and sends them.
    Notification(notification::Settings),
    /// Creates the topics that do not exist yet, and ends.
    CreateTopics(KafkaSettings),
    /// Sends the dead letters of a topic again, those that were not sent again before, and ends.
    ReplayDeadLetters(ReplaySettings),
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
            Service::CreateTopics(settings) => messaging::create_topics(&settings, &topology()).await,
            Service::ReplayDeadLetters(settings) => {
                let Replayed { sent, bodiless } =
                    messaging::replay_dead_letters(&settings, &topology()).await?;
                println!("sent again: {sent}; too large to have come along: {bodiless}");
                Ok(())
            }
        }
    })
}

/// The topics of the style, and who reads them.
pub fn topology() -> Topology {
    let consumers = vec![
        ("order", order::Incoming::topics()),
        ("billing", billing::Incoming::topics()),
        ("notification", notification::Incoming::topics()),
    ];
    Topology { kept: Vec::new(), passing: vec!["billing", "orders", "users"], consumers }
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
