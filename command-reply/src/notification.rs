//! Notification in the command/reply style: a participant that nobody waits for. It sends what it is told to send.
//!
//! ```text
//! SendEmail -> email
//! ```

use std::sync::Arc;

use api::docs;
use api::notification::Notification;
use domain::{Operation, RequestId};
use messaging::{Handler, Known, Said};
use service::{Failure, NotificationSettings, Service};
use sqlx::postgres::PgConnection;
use store::Once;
use store::notification::NewEmail;
use tokio::sync::Notify;
use utoipa_axum::router::OpenApiRouter;

use crate::messages::{SendEmail, TYPES};

messaging::consumes! {
    /// What notification does when it is told to.
    pub(crate) enum Incoming of TYPES; { SendEmail }
}

/// Emails, as a participant.
struct Emails {
    /// Wakes who sends them.
    wake: Arc<Notify>,
}

impl Handler for Emails {
    type Incoming = Incoming;
    /// Everything is in the command.
    type Fact = ();
    type Error = Failure;

    async fn handle(
        &self,
        tx: &mut PgConnection,
        batch: &[&Known<Incoming, ()>],
        _: &mut Said,
    ) -> Result<(), Failure> {
        send_emails(tx, batch).await
    }

    fn committed(&self) {
        self.wake.notify_one();
    }
}

/// Stores the emails. They are sent right after.
async fn send_emails(tx: &mut PgConnection, batch: &[&Known<Incoming, ()>]) -> Result<(), Failure> {
    let email = |Known { event, cause, .. }: &&Known<Incoming, ()>| {
        let Incoming::SendEmail(SendEmail { order_id, user_id, email, title, message }) = &event.message;
        let key = RequestId::derive(Operation::SendOrderEmail, &cause.correlation_id.to_string());
        let email = NewEmail {
            user_id: *user_id,
            email: email.as_str().to_owned(),
            title: title.as_str().to_owned(),
            message: message.as_str().to_owned(),
            order_id: Some(*order_id),
            // The order's trace goes on with its email.
            traceparent: cause.traceparent.clone(),
        };
        (key, email)
    };
    let emails: Vec<(RequestId, NewEmail)> = batch.iter().map(email).collect();
    let stored = store::notification::enqueue_all(tx, &emails).await?;
    if let Some(((_, email), _)) = emails.iter().zip(stored).find(|(_, stored)| *stored == Once::Reused) {
        return Err(Failure::Impossible(format!("{:?} ended otherwise before", email.order_id)));
    }
    fail::fail_point!("notification::email_stored");
    Ok(())
}

/// The routes that every style shares; this style has no others.
pub(crate) fn routes() -> OpenApiRouter<Notification> {
    docs::documented("command-reply", "notification", "Owns emails, and sends them.")
        .merge(api::notification::routes())
}

/// Runs notification until it is told to stop.
pub(crate) async fn run(settings: NotificationSettings) -> anyhow::Result<()> {
    let tables = [store::notification::migrations()];
    // It says nothing: this outbox stays empty, and nobody publishes it.
    let (mut service, outbox) =
        Service::start_with_messages("notification", settings.consumer, tables).await?;
    let wake = service.send_emails(&settings.mail, outbox.pool())?;
    service.consume("notification", Emails { wake: Arc::clone(&wake) }, &outbox)?;
    let pool = outbox.pool().clone();
    service.serve(routes().with_state(Notification { pool, wake })).await
}
