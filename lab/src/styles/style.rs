//! What has to be known of a style: one value of [`Style`] for each.

use clap::{ArgMatches, Command};
use futures_util::future::BoxFuture;
use messaging::Topology;
use serde_json::Value;
use utoipa::openapi::OpenApi;

use super::features::Features;
use super::service::Service;
use super::walk::Walk;

/// A service that runs until it is told to stop.
pub type Running = BoxFuture<'static, anyhow::Result<()>>;

/// A style: how to name it, how it differs, what its services say of themselves, how they are run.
#[derive(Clone, Copy)]
pub struct Style {
    /// As on the command line; also the name of its crate, and of its directory.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub about: &'static str,
    /// Its services, callees first.
    pub services: &'static [Service],
    /// How it differs.
    pub features: Features,
    /// Where its code takes each step of an order.
    pub walk: Walk,
    /// The OpenAPI document of each service.
    pub api_documents: fn() -> Vec<(&'static str, OpenApi)>,
    /// Its Kafka topics, and who reads them; none for a style without messages.
    pub topology: fn() -> Topology,
    /// The type names of its messages.
    pub message_types: &'static [&'static str],
    /// The AsyncAPI document of each service; none for a style without messages.
    pub async_documents: fn() -> Vec<(&'static str, Value)>,
    /// Adds its services to a command, each with its settings.
    pub commands: fn(Command) -> Command,
    /// Starts the service that such a command was given.
    pub run: fn(&ArgMatches) -> Result<Running, clap::Error>,
}

impl Style {
    /// Those of its services that own tables.
    pub fn owners(&self) -> impl Iterator<Item = Service> {
        self.services.iter().copied().filter(|service| service.has_tables())
    }

    /// Those of its services that are asked over HTTP, and so have a document of it.
    pub fn asked_over_http(&self) -> Vec<Service> {
        let documents = (self.api_documents)();
        let is_asked = |service: &Service| documents.iter().any(|(name, _)| *name == service.name());
        self.services.iter().copied().filter(is_asked).collect()
    }

    /// What its services count about their calls of others: the first word of these metrics.
    pub fn calls_are_counted_as(&self) -> &'static str {
        if self.features.has_rpcs() { "rpc_client" } else { "http_client" }
    }
}

impl std::fmt::Debug for Style {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}
