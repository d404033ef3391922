//! The gateway in the command/reply style: passes every request on to the service that owns its effect, and keeps nothing. It does
//! not know that the others talk over a broker.

use api::gateway::{PeerSettings, Peers, booking_routes, pass_on, pass_on_and_wait, passed_on};
use api::{accounts, asked, docs};
use axum::routing::post;
use clap::Args;
use service::{Service, ServiceSettings};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{Check, Client, Peer};

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
    peers: PeerSettings,
    /// The address of the ticket service, such as `http://ticket:8080`.
    #[arg(long, env = "TICKET_URL")]
    ticket_url: url::Url,
}

/// Who owns what.
pub(crate) struct Owners {
    peers: Peers,
    ticket: Peer,
}

impl Owners {
    /// Owners that nobody calls: enough to ask the routes for their document.
    pub(crate) fn nowhere() -> Self {
        let peers = Peers::nowhere();
        let ticket = peers.order.clone();
        Self { peers, ticket }
    }
}

/// A table of who owns what.
pub(crate) fn routes(Owners { peers, ticket }: &Owners) -> OpenApiRouter {
    docs::documented("command-reply", "gateway", "The one address clients know.")
        .merge(api::gateway::routes(peers))
        .routes(passed_on(routes!(accounts::create_user), post(pass_on), &peers.billing))
        .routes(passed_on(routes!(accounts::deposit), post(pass_on), &peers.billing))
        .merge(asked::order_route(post(pass_on_and_wait)).with_state(peers.order.clone()))
        .merge(booking_routes(&peers.order, ticket))
}

/// Runs the gateway until it is told to stop.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<()> {
    let mut service = Service::start("gateway", settings.service).await?;
    let client = Client::new(settings.client)?;
    let ticket = client.peer("ticket", settings.ticket_url);
    let owners = Owners { peers: settings.peers.connect(&client), ticket: ticket.clone() };
    service.checks(owners.peers.checks());
    service.checks([Check::optional("ticket", move || {
        let ticket = ticket.clone();
        async move { ticket.probe().await }
    })]);
    service.serve_clients(routes(&owners), api::request_deadline, settings.browsers).await
}
