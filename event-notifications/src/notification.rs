//! Notification with thin events: hears that an order has ended, and asks how, and whom to tell.
//!
//! ```text
//! OrderProcessed -> GET order (order) -> GET user (billing) -> email
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
use store::Once;
use store::notification::{EmailQueue, NewEmail};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use web::{Client, Peer, ServerSettings};

use crate::calls;
use crate::failure::Failure;
use crate::messages::{OrderProcessed, TYPES};

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
    client: web::ClientSettings,
    /// Where the order service is.
    #[arg(long, env = "ORDER_URL")]
    order_url: url::Url,
    /// Where billing is.
    #[arg(long, env = "BILLING_URL")]
    billing_url: url::Url,
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
    order: Peer,
    billing: Peer,
    /// Wakes who sends them.
    wake: Arc<Notify>,
}

impl Handler for Emails {
    type Incoming = Incoming;
    /// The email to store; none about an order of nobody.
    type Fact = Option<NewEmail>;
    type Error = Failure;

    async fn gather(&self, event: &Event<Incoming>) -> Result<Option<NewEmail>, Failure> {
        let Incoming::OrderProcessed(OrderProcessed { order_id }) = event.message;
        let order = calls::find_order(&self.order, order_id, event).await?;
        let settlement = Settlement::of(order.status, order.reason);
        let settlement = settlement.ok_or_else(|| calls::not_yet(order_id, event))?;
        let Some(email) = OrderEmail::about(order_id, settlement) else { return Ok(None) };
        let user = calls::find_user(&self.billing, order.user_id, event).await?;
        let user = user
            .ok_or_else(|| Failure::Impossible(format!("order {order_id} has ended, its user is unknown")))?;
        let OrderEmail { title, message } = email;
        Ok(Some(NewEmail {
            user_id: order.user_id,
            email: user.email,
            title: title.to_owned(),
            message,
            order_id: Some(order_id),
            traceparent: store::notification::traceparent(),
        }))
    }

    async fn handle(
        &self,
        tx: &mut PgConnection,
        batch: &[&Known<Incoming, Option<NewEmail>>],
        _: &mut Said,
    ) -> Result<(), Failure> {
        on_orders_processed(tx, batch).await
    }

    fn committed(&self) {
        self.wake.notify_one();
    }
}

/// Stores the emails that tell users how their orders ended.
async fn on_orders_processed(
    tx: &mut PgConnection,
    batch: &[&Known<Incoming, Option<NewEmail>>],
) -> Result<(), Failure> {
    let email = |Known { fact, cause, .. }: &&Known<Incoming, Option<NewEmail>>| {
        let key = RequestId::derive(Operation::SendOrderEmail, &cause.correlation_id.to_string());
        fact.clone().map(|email| (key, email))
    };
    let emails: Vec<(RequestId, NewEmail)> = batch.iter().filter_map(email).collect();
    let stored = store::notification::enqueue_all(tx, &emails).await?;
    if let Some(((_, email), _)) = emails.iter().zip(stored).find(|(_, stored)| *stored == Once::Reused) {
        return Err(Failure::Impossible(format!("{:?} ended otherwise before", email.order_id)));
    }
    fail::fail_point!("notification::email_stored");
    Ok(())
}

/// The routes that every style shares; this style has no others.
pub(crate) fn routes() -> OpenApiRouter<Notification> {
    docs::documented("event-notifications", "notification", "Owns emails, and sends them.")
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

    let (mailer, sending) = settings.mail.mailer()?;
    let wake = Arc::new(Notify::new());
    // It says nothing: this outbox stays empty and needs no relay.
    let outbox = Outbox::new("notification", pool.clone(), &settings.kafka);
    let client = Client::new(settings.client)?;
    let emails = Emails {
        order: client.peer("order", settings.order_url),
        billing: client.peer("billing", settings.billing_url),
        wake: Arc::clone(&wake),
    };
    let emails = Consumer::new("notification", emails, outbox)?;
    let emails = web::spawn_worker(emails.run(shutdown.clone()), shutdown.clone());
    // After the server and the consumer: either may store an email.
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
    emails.await??;
    stop_sending.cancel();
    sender.await??;
    pool.close();
    Ok(())
}
