//! Notification with fat events: hears how an order ended, and knows where its user's emails go from the replica.
//!
//! ```text
//! OrderProcessed -> email (or parked, until the user is known)
//! UserCreationSucceeded | UserUpdated -> replica
//! ```

use std::sync::Arc;

use api::docs;
use api::notification::Notification;
use axum::Extension;
use clap::Args;
use domain::{Operation, OrderEmail, RequestId, Settlement};
use futures_util::FutureExt as _;
use messaging::{Consumer, Event, Handler, Known, Outbox, Said};
use sqlx::postgres::PgConnection;
use store::notification::EmailQueue;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use web::ServerSettings;

use crate::failure::Failure;
use crate::messages::{OrderProcessed, TYPES};
use crate::parked::{self, Unaddressed};
use crate::replica::{self, Replica};

/// Settings of notification.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    #[command(flatten)]
    server: web::ListenSettings,
    #[command(flatten)]
    database: store::DatabaseSettings,
    #[command(flatten)]
    kafka: messaging::KafkaSettings,
    #[command(flatten)]
    mail: mail::MailSettings,
    #[command(flatten)]
    addresses: api::AddressSettings,
    #[command(flatten)]
    telemetry: telemetry::Settings,
}

messaging::consumes! {
    /// What notification reacts to.
    pub(crate) enum Incoming of TYPES; { OrderProcessed }
}

/// Emails, as a consumer of messages.
struct Emails {
    /// Wakes who sends them.
    wake: Arc<Notify>,
}

impl Handler for Emails {
    type Incoming = Incoming;
    type Fact = ();
    type Error = Failure;

    /// Everything is in the message, or in the replica.
    async fn gather(&self, _: &Event<Incoming>) -> Result<(), Failure> {
        Ok(())
    }

    async fn handle(
        &self,
        tx: &mut PgConnection,
        batch: &[&Known<Incoming, ()>],
        _: &mut Said,
    ) -> Result<(), Failure> {
        on_orders_processed(tx, batch).await
    }

    fn committed(&self) {
        self.wake.notify_one();
    }
}

/// Stores the emails that tell users how their orders ended.
async fn on_orders_processed(tx: &mut PgConnection, batch: &[&Known<Incoming, ()>]) -> Result<(), Failure> {
    let mut emails = Vec::with_capacity(batch.len());
    for Known { event, cause, .. } in batch {
        let Incoming::OrderProcessed(OrderProcessed { user_id, order_id, status, error, .. }) =
            &event.message;
        let settlement = Settlement::of(*status, error.as_ref().map(|refused| refused.code));
        let settlement = settlement
            .ok_or_else(|| Failure::Impossible(format!("order {order_id} is {status:?} and processed")))?;
        if let Some(email) = OrderEmail::about(*order_id, settlement) {
            let key = RequestId::derive(Operation::SendOrderEmail, &cause.correlation_id.to_string());
            emails.push(Unaddressed::new(*order_id, *user_id, key, email, cause.traceparent.clone()));
        }
    }
    parked::address(tx, emails).await?;
    fail::fail_point!("notification::email_stored");
    Ok(())
}

/// The routes that every style shares; this style has no others.
pub(crate) fn routes() -> OpenApiRouter<Notification> {
    docs::documented("event-collab", "notification", "Owns emails, and sends them.")
        .merge(api::notification::routes())
}

/// Runs notification until it is told to stop.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<()> {
    let telemetry = telemetry::init("notification", &settings.telemetry)?;
    let listener = web::bind(settings.server.listen).await?;
    let shutdown = web::shutdown_on_signal()?;
    let pool = settings.database.pool("notification")?;
    store::notification::migrate(&pool).await?;
    store::migrate(&pool, &messaging::migrations()).await?;
    replica::migrate(&pool).await?;
    parked::migrate(&pool).await?;

    let (mailer, sending) = settings.mail.mailer()?;
    let wake = Arc::new(Notify::new());
    // It says nothing: this outbox stays empty and needs no relay.
    let outbox = Outbox::new("notification", pool.clone(), &settings.kafka);
    let users = Replica { emails: Some(Arc::clone(&wake)) };
    let users = Consumer::new("notification-users", users, outbox.clone())?;
    let users = web::spawn_worker(users.run(shutdown.clone()), shutdown.clone());
    let emails = Consumer::new("notification", Emails { wake: Arc::clone(&wake) }, outbox)?;
    let emails = web::spawn_worker(emails.run(shutdown.clone()), shutdown.clone());
    // After the server and the consumers: either may store an email.
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
    users.await??;
    emails.await??;
    stop_sending.cancel();
    sender.await??;
    pool.close();
    Ok(())
}
