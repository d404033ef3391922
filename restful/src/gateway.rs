//! The gateway in the RESTful style: passes every request on to the service that owns its effect, and keeps nothing.

use api::gateway::{Peers, pass_on, pass_on_and_wait, passed_on};
use api::{accounts, docs};
use axum::routing::post;
use clap::Args;
use service::{Service, ServiceSettings};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::Client;

use crate::order;

/// Settings of the gateway.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    #[command(flatten)]
    service: ServiceSettings,
    #[command(flatten)]
    browsers: web::BrowserSettings,
    #[command(flatten)]
    client: web::ClientSettings,
    #[command(flatten)]
    peers: api::gateway::PeerSettings,
}

/// A table of who owns what.
pub(crate) fn routes(peers: &Peers) -> OpenApiRouter {
    docs::documented("restful", "gateway", "The one address clients know.")
        .merge(api::gateway::routes(peers))
        .routes(passed_on(routes!(accounts::create_user), post(pass_on), &peers.billing))
        .routes(passed_on(routes!(accounts::deposit), post(pass_on), &peers.billing))
        .routes(passed_on(routes!(order::create_order), post(pass_on_and_wait), &peers.order))
}

/// Runs the gateway until it is told to stop.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<()> {
    let mut service = Service::start("gateway", settings.service).await?;
    let peers = settings.peers.connect(&Client::new(settings.client)?);
    service.checks(peers.checks());
    service.serve_clients(routes(&peers), api::request_deadline, settings.browsers).await
}
