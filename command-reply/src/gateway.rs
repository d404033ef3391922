//! The gateway in the command/reply style: passes every request on to the service that owns its effect, and keeps nothing. It does
//! not know that the others talk over a broker.

use api::gateway::{BookingPeerSettings, BookingPeers, booking_routes, pass_on, pass_on_and_wait, passed_on};
use api::{accounts, asked, docs};
use axum::routing::post;
use clap::Args;
use service::{Service, ServiceSettings};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::Client;

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
    peers: BookingPeerSettings,
}

/// A table of who owns what.
pub(crate) fn routes(peers: &BookingPeers) -> OpenApiRouter {
    let (billing, order) = (&peers.usual.billing, &peers.usual.order);
    docs::documented("command-reply", "gateway", "The one address clients know.")
        .merge(api::gateway::routes(&peers.usual))
        .routes(passed_on(routes!(accounts::create_user), post(pass_on), billing))
        .routes(passed_on(routes!(accounts::deposit), post(pass_on), billing))
        .merge(asked::order_route(post(pass_on_and_wait)).with_state(order.clone()))
        .merge(booking_routes(peers))
}

/// Runs the gateway until it is told to stop.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<()> {
    let mut service = Service::start("gateway", settings.service).await?;
    let peers = settings.peers.connect(&Client::new(settings.client)?);
    service.checks(peers.checks());
    service.serve_clients(routes(&peers), api::request_deadline, settings.browsers).await
}
