//! The notification service's routes: the same in every style.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use domain::{EmailId, Operation, UserId};
use http::StatusCode;
use store::Pool;
use store::notification::{self, NewEmail};
use tokio::sync::Notify;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{Path, Query};

use crate::billing::once;
use crate::docs::{BadRequest, Internal, KeyReused, NotFound, TooLarge, Unavailable};
use crate::page::{EmailsQuery, page};
use crate::types::{Email, EmailAccepted, OrderEmailRequest};
use crate::{ApiError, Deliverable, IdempotencyKey, IdempotencyKeyHeader};

/// What the routes need: the table, and the worker that sends what is in it.
#[derive(Clone)]
pub struct Notification {
    /// The notification service's database.
    pub pool: Pool,
    /// Wakes the sending worker, so that no email waits for its poll.
    pub wake: Arc<Notify>,
}

/// All of them.
pub fn routes() -> OpenApiRouter<Notification> {
    OpenApiRouter::new().routes(routes!(send_email, list_emails))
}

/// Stores an email; it is sent right after.
#[utoipa::path(post, path = "/notification/email/{userId}", tag = "notification",
    params(("userId" = inline(UserId), Path), IdempotencyKeyHeader),
    request_body = OrderEmailRequest,
    responses((status = 202, description = "Stored, will be sent.", body = EmailAccepted),
        BadRequest, NotFound, TooLarge, KeyReused, Internal, Unavailable))]
pub async fn send_email(
    State(Notification { pool, wake }): State<Notification>,
    Path(user_id): Path<UserId>,
    key: IdempotencyKey,
    Deliverable(request): Deliverable<OrderEmailRequest>,
) -> Result<(StatusCode, axum::Json<EmailAccepted>), ApiError> {
    let OrderEmailRequest { email, title, message, order_id } = request;
    let (email, title, message) = (email.into(), title.into(), message.into());
    let email =
        NewEmail { user_id, email, title, message, order_id, traceparent: notification::traceparent() };
    let operation = if order_id.is_some() { Operation::SendOrderEmail } else { Operation::SendEmail };
    let request = key.request_id(operation);
    let stored = pool.run(move |conn| {
        Box::pin(async move {
            let stored = notification::enqueue(conn, request, email).await?;
            fail::fail_point!("notification::email_stored");
            Ok::<_, ApiError>(stored)
        })
    });
    let email_id = once(stored.await?)?;
    wake.notify_one();
    Ok((StatusCode::ACCEPTED, axum::Json(EmailAccepted { email_id })))
}

/// A page of a user's emails, oldest first.
#[utoipa::path(get, path = "/notification/email/{userId}", tag = "notification",
    params(("userId" = inline(UserId), Path), EmailsQuery),
    responses((status = 200, description = "The page; empty for an unknown user.", body = Vec<Email>,
            headers(("Link" = String, description = "The next page, as `rel=\"next\"`, while there is one."))),
        BadRequest, NotFound, Internal, Unavailable))]
pub async fn list_emails(
    State(Notification { pool, .. }): State<Notification>,
    Path(user): Path<UserId>,
    Query(EmailsQuery { after, limit }): Query<EmailsQuery>,
) -> Result<Response, ApiError> {
    let (after, wanted) = (after.unwrap_or(EmailId(0)), limit.to_look_up());
    let emails = pool.run(move |conn| Box::pin(notification::page(conn, user, after, wanted))).await?;
    let emails = emails.into_iter().map(Email::from).collect();
    Ok(page(emails, limit, |last: &Email| format!("/notification/email/{user}?after={}", last.id)))
}
