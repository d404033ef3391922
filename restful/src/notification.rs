//! Notification in the RESTful style: stores what it is asked to send, and sends it. It calls nobody but the SMTP server.

use std::sync::Arc;

use api::docs;
use api::notification::Notification;
use axum::Extension;
use clap::Args;
use futures_util::FutureExt as _;
use store::notification::EmailQueue;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use web::ServerSettings;

/// Settings of notification.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    #[command(flatten)]
    server: web::ListenSettings,
    #[command(flatten)]
    database: store::DatabaseSettings,
    #[command(flatten)]
    mail: mail::MailSettings,
    #[command(flatten)]
    addresses: api::AddressSettings,
    #[command(flatten)]
    telemetry: telemetry::Settings,
}

/// The routes that every style shares; this style has no others.
pub(crate) fn routes() -> OpenApiRouter<Notification> {
    docs::documented("restful", "notification", "Owns emails, and sends them.")
        .merge(api::notification::routes())
}

/// Runs notification until it is told to stop.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<()> {
    let telemetry = telemetry::init("notification", &settings.telemetry)?;
    let listener = web::bind(settings.server.listen).await?;
    let shutdown = web::shutdown_on_signal()?;
    let pool = settings.database.pool("notification")?;
    store::notification::migrate(&pool).await?;

    let (mailer, sending) = settings.mail.mailer()?;
    let wake = Arc::new(Notify::new());
    // After the server: a request that is still running may store an email.
    let stop_sending = CancellationToken::new();
    let sending =
        mail::run(EmailQueue(pool.clone()), mailer, sending, Arc::clone(&wake), stop_sending.clone());
    let sender = web::spawn_worker(sending.map(Ok), shutdown.clone());
    let routes = routes().with_state(Notification { pool: pool.clone(), wake });
    let server = ServerSettings {
        listen: settings.server,
        checks: vec![api::database_check(&pool)],
        metrics: telemetry.metrics(),
        deadline: api::request_deadline,
        callers_deadline_counts: true,
    };
    web::serve(listener, docs::served(routes).layer(Extension(settings.addresses)), server, shutdown).await;
    stop_sending.cancel();
    sender.await??;
    pool.close();
    Ok(())
}
