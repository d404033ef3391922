//! The notification service's table: emails, stored first and sent later.

use chrono::{DateTime, Utc};
use domain::{EmailId, OrderId, RequestId, UserId};
use sqlx::postgres::{PgConnection, PgPool};
use uuid::Uuid;

use crate::{Once, StoreError};

mod queue;

pub use queue::EmailQueue;

/// Creates the tables or brings them up to date. Safe to run by several replicas at once.
pub async fn migrate(pool: &PgPool) -> Result<(), StoreError> {
    crate::migrate(pool, &sqlx::migrate!("migrations/notification")).await
}

/// An email that is to be sent.
#[derive(Clone, Debug)]
pub struct NewEmail {
    /// Whom it concerns.
    pub user_id: UserId,
    /// Where it goes.
    pub email: String,
    /// The subject.
    pub title: String,
    /// The text.
    pub message: String,
    /// The order whose end it tells; an order gets one email.
    pub order_id: Option<OrderId>,
}

/// An email as it is stored.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Email {
    /// Which.
    pub id: EmailId,
    /// Whom it concerns.
    pub user_id: UserId,
    /// Where it goes.
    pub email: String,
    /// The subject.
    pub title: String,
    /// The text.
    pub message: String,
    /// `pending`, `sending`, `sent` or `failed`.
    pub status: String,
    /// The order it tells about.
    pub order_id: Option<OrderId>,
    /// When it was stored.
    pub created_at: DateTime<Utc>,
}

/// Stores an email to be sent, once per `request` and once per order.
pub async fn enqueue(
    conn: &mut PgConnection,
    request: RequestId,
    email: &NewEmail,
) -> Result<Once<EmailId>, StoreError> {
    let stored: Option<EmailId> = sqlx::query_scalar(
        "insert into emails (request_id, user_id, email, title, message, order_id, kind, message_id)
         values ($1, $2, $3, $4, $5, $6, case when $6::bigint is null then null else 'order-outcome' end, $7)
         on conflict do nothing
         returning id",
    )
    .bind(request)
    .bind(email.user_id)
    .bind(&email.email)
    .bind(&email.title)
    .bind(&email.message)
    .bind(email.order_id)
    .bind(format!("{}@arch.homework", Uuid::now_v7()))
    .fetch_optional(&mut *conn)
    .await?;
    match stored {
        Some(id) => Ok(Once::Done(id)),
        None => repeated(conn, request, email).await,
    }
}

/// What the earlier email says, found by its request or by its order.
///
/// An order's outcome is told once: it is the same email although the user may have another address by now.
async fn repeated(
    conn: &mut PgConnection,
    request: RequestId,
    email: &NewEmail,
) -> Result<Once<EmailId>, StoreError> {
    let (id, same): (EmailId, bool) = sqlx::query_as(
        "select id, user_id = $3 and title = $5 and order_id is not distinct from $2
                    and (order_id is not null or email = $4 and message = $6)
         from emails where request_id = $1 or order_id = $2
         order by request_id = $1 desc limit 1",
    )
    .bind(request)
    .bind(email.order_id)
    .bind(email.user_id)
    .bind(&email.email)
    .bind(&email.title)
    .bind(&email.message)
    .fetch_one(conn)
    .await?;
    Ok(if same { Once::Repeated(id) } else { Once::Reused })
}

/// A user's emails, oldest first.
pub async fn list(conn: &mut PgConnection, user: UserId) -> Result<Vec<Email>, StoreError> {
    Ok(sqlx::query_as(
        "select id, user_id, email, title, message, status, order_id, created_at
         from emails where user_id = $1 order by id",
    )
    .bind(user)
    .fetch_all(conn)
    .await?)
}
