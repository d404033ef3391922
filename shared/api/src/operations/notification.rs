//! What notification does.

use std::sync::Arc;

use domain::{EmailId, Operation, RequestId, UserId};
use store::Pool;
use store::notification::{self, NewEmail};
use tokio::sync::Notify;

use crate::ApiError;
use crate::operations::billing::once;
use crate::page::{EmailsQuery, Page};
use crate::types::{Email, OrderEmailRequest};

/// What it needs: the table, and the worker that sends what is in it.
#[derive(Clone)]
pub struct Notification {
    /// The notification service's database.
    pub pool: Pool,
    /// Wakes the sending worker, so that no email waits for its poll.
    pub wake: Arc<Notify>,
}

impl OrderEmailRequest {
    /// What it asks for.
    pub fn operation(&self) -> Operation {
        if self.order_id.is_some() { Operation::SendOrderEmail } else { Operation::SendEmail }
    }
}

impl Notification {
    /// Stores an email; it is sent right after.
    ///
    /// # Errors
    /// When the request came with another email before, or the database fails.
    pub async fn send_email(
        &self,
        request: RequestId,
        user_id: UserId,
        asked: OrderEmailRequest,
    ) -> Result<EmailId, ApiError> {
        let OrderEmailRequest { email, title, message, order_id } = asked;
        let (email, title, message) = (email.into(), title.into(), message.into());
        let email =
            NewEmail { user_id, email, title, message, order_id, traceparent: notification::traceparent() };
        let stored = self.pool.run(move |conn| {
            Box::pin(async move {
                let stored = notification::enqueue(conn, request, email).await?;
                fail::fail_point!("notification::email_stored");
                Ok::<_, ApiError>(stored)
            })
        });
        let email_id = once(stored.await?)?;
        self.wake.notify_one();
        Ok(email_id)
    }

    /// A page of a user's emails, oldest first; empty for an unknown user.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list_emails(&self, user: UserId, query: EmailsQuery) -> Result<Page<Email>, ApiError> {
        let EmailsQuery { after, limit } = query;
        let (after, wanted) = (after.unwrap_or(EmailId(0)), limit.to_look_up());
        let emails =
            self.pool.run(move |conn| Box::pin(notification::page(conn, user, after, wanted))).await?;
        Ok(Page::of(emails, limit))
    }
}
