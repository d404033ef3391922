//! Notification with thin events: hears that an order has ended, and asks how, and whom to tell.
//!
//! ```text
//! OrderProcessed -> GET order (order) -> GET user (billing) -> email
//! ```

use std::sync::Arc;

use api::docs;
use api::notification::Notification;
use clap::Args;
use domain::{Operation, OrderEmail, RequestId, Settlement};
use messaging::{Event, Handler, Known, Said};
use service::{Failure, NotificationSettings, Service};
use sqlx::postgres::PgConnection;
use store::Once;
use store::notification::NewEmail;
use tokio::sync::Notify;
use utoipa_axum::router::OpenApiRouter;
use web::{Client, Peer};

use crate::calls;
use crate::messages::{OrderProcessed, TYPES};

/// Settings of notification.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    #[command(flatten)]
    service: NotificationSettings,
    #[command(flatten)]
    client: web::ClientSettings,
    /// The address of the order service, such as `http://order:8080`.
    #[arg(long, env = "ORDER_URL")]
    order_url: url::Url,
    /// The address of billing, such as `http://billing:8080`.
    #[arg(long, env = "BILLING_URL")]
    billing_url: url::Url,
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
    let tables = [store::notification::migrations()];
    // It says nothing: this outbox stays empty, and nobody publishes it.
    let (mut service, outbox) =
        Service::start_with_messages("notification", settings.service.consumer, tables).await?;
    let wake = service.send_emails(&settings.service.mail, outbox.pool())?;
    let client = Client::new(settings.client)?;
    let emails = Emails {
        order: client.peer("order", settings.order_url),
        billing: client.peer("billing", settings.billing_url),
        wake: Arc::clone(&wake),
    };
    service.consume("notification", emails, &outbox)?;
    let pool = outbox.pool().clone();
    service.serve(routes().with_state(Notification { pool, wake })).await
}
