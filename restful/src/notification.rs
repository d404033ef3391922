//! Notification in the RESTful style: stores what it is asked to send, and sends it. It calls nobody but the SMTP server.

use api::docs;
use api::notification::Notification;
use clap::Args;
use service::{Service, ServiceSettings};
use utoipa_axum::router::OpenApiRouter;

/// Settings of notification.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    #[command(flatten)]
    service: ServiceSettings,
    #[command(flatten)]
    database: store::DatabaseSettings,
    #[command(flatten)]
    mail: mail::MailSettings,
}

/// The routes that every style shares; this style has no others.
pub(crate) fn routes() -> OpenApiRouter<Notification> {
    docs::documented("restful", "notification", "Owns emails, and sends them.")
        .merge(api::notification::routes())
}

/// Runs notification until it is told to stop.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<()> {
    let mut service = Service::start("notification", settings.service).await?;
    let tables = [store::notification::migrations()];
    let pool = service.database("notification", &settings.database, &tables).await?;
    // A request that is still running at the end may store an email.
    let wake = service.send_emails(&settings.mail, &pool)?;
    service.serve(routes().with_state(Notification { pool, wake })).await
}
