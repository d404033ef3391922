//! The notification service's routes: the same in every style.

use axum::extract::State;
use axum::response::Response;
use domain::UserId;
use http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{Path, Query};

use crate::docs::{BadRequest, Internal, KeyReused, NotFound, TooLarge, Unavailable};
pub use crate::operations::notification::Notification;
use crate::page::{EmailsQuery, Page};
use crate::types::{Email, EmailAccepted, OrderEmailRequest};
use crate::{ApiError, Deliverable, IdempotencyKey, IdempotencyKeyHeader};

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
    State(notification): State<Notification>,
    Path(user_id): Path<UserId>,
    key: IdempotencyKey,
    Deliverable(request): Deliverable<OrderEmailRequest>,
) -> Result<(StatusCode, axum::Json<EmailAccepted>), ApiError> {
    let request_id = key.request_id(request.operation());
    let email_id = notification.send_email(request_id, user_id, request).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(EmailAccepted { email_id })))
}

/// A page of a user's emails, oldest first.
#[utoipa::path(get, path = "/notification/email/{userId}", tag = "notification",
    params(("userId" = inline(UserId), Path), EmailsQuery),
    responses((status = 200, description = "The page; empty for an unknown user.", body = Vec<Email>,
            headers(("Link" = String, description = "The next page, as `rel=\"next\"`, while there is one."))),
        BadRequest, NotFound, Internal, Unavailable))]
pub async fn list_emails(
    State(notification): State<Notification>,
    Path(user): Path<UserId>,
    Query(query): Query<EmailsQuery>,
) -> Result<Response, ApiError> {
    Ok(listed(notification.list_emails(user, query).await?, user))
}

/// 200 with a page of `user`'s emails.
pub fn listed(page: Page<Email>, user: UserId) -> Response {
    page.respond(|last| format!("/notification/email/{user}?after={}", last.id))
}
