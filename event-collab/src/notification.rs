//! Notification with fat events: hears how an order ended, and knows where its user's emails go from the replica.
//!
//! ```text
//! OrderProcessed -> email (or parked, until the user is known)
//! UserCreationSucceeded | UserUpdated -> replica
//! ```

use std::sync::Arc;

use api::docs;
use api::notification::Notification;
use domain::{Operation, OrderEmail, RequestId, Settlement};
use messaging::{Handler, Known, Said};
use service::{Failure, NotificationSettings, Service};
use sqlx::postgres::PgConnection;
use tokio::sync::Notify;
use utoipa_axum::router::OpenApiRouter;

use crate::messages::{OrderProcessed, TYPES};
use crate::parked::{self, Unaddressed};
use crate::replica;
use crate::replication::Replica;

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
    /// Everything is in the message, or in the replica.
    type Fact = ();
    type Error = Failure;

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
            emails.push(Unaddressed {
                order_id: *order_id,
                user_id: *user_id,
                request_id: key,
                title: email.title.to_owned(),
                message: email.message,
                // The order's trace goes on with its email.
                traceparent: cause.traceparent.clone(),
            });
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
pub(crate) async fn run(settings: NotificationSettings) -> anyhow::Result<()> {
    let tables = [store::notification::migrations(), replica::migrations(), parked::migrations()];
    // It says nothing: this outbox stays empty, and nobody publishes it.
    let (mut service, outbox) =
        Service::start_with_messages("notification", settings.consumer, tables).await?;
    let wake = service.send_emails(&settings.mail, outbox.pool())?;
    service.consume("notification-users", Replica { emails: Some(Arc::clone(&wake)) }, &outbox)?;
    service.consume("notification", Emails { wake: Arc::clone(&wake) }, &outbox)?;
    let pool = outbox.pool().clone();
    service.serve(routes().with_state(Notification { pool, wake })).await
}
