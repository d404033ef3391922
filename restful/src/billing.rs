//! Billing in the RESTful style: decides, remembers and answers. It calls nobody.

use api::accounts::Accounts;
use api::docs;
use api::password::{PasswordHasher, PasswordSettings};
use clap::Args;
use service::{Service, ServiceSettings};
use store::Pool;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Settings of billing.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    #[command(flatten)]
    service: ServiceSettings,
    #[command(flatten)]
    database: store::DatabaseSettings,
    #[command(flatten)]
    passwords: PasswordSettings,
}

/// Registering and depositing: billing is asked for both, as for everything in this style.
pub(crate) fn routes() -> OpenApiRouter<Accounts> {
    docs::documented("restful", "billing", "Owns users and accounts.").merge(api::accounts::routes())
}

/// What every style shares; in this one, nobody is told about a profile update.
pub(crate) fn shared_routes() -> OpenApiRouter<Pool> {
    api::billing::routes().routes(routes!(api::billing::update_profile))
}

/// Runs billing until it is told to stop.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<()> {
    let passwords = PasswordHasher::new(&settings.passwords)?;
    let mut service = Service::start("billing", settings.service).await?;
    let tables = [store::billing::migrations()];
    let pool = service.database("billing", &settings.database, &tables).await?;
    let routes = routes().with_state(Accounts { pool: pool.clone(), passwords });
    service.serve(routes.merge(shared_routes().with_state(pool))).await
}
