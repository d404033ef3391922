//! The notification service's table: emails, stored first and sent later.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::{EmailId, OrderId, RequestId, UserId};
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::{Once, StoreError};

mod queue;

pub use mail::traceparent;
pub use queue::EmailQueue;

/// The service's tables.
pub fn migrations() -> Migrator {
    sqlx::migrate!("migrations/notification")
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
    /// The [trace](traceparent) that its sending is part of.
    pub traceparent: Option<String>,
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
    email: NewEmail,
) -> Result<Once<EmailId>, StoreError> {
    let mut stored = enqueue_all(conn, &[(request, email)]).await?;
    stored.pop().ok_or_else(|| sqlx::Error::RowNotFound.into())
}

/// As [`enqueue`], in one statement; says of each, in their order, what became of it.
pub async fn enqueue_all(
    conn: &mut PgConnection,
    emails: &[(RequestId, NewEmail)],
) -> Result<Vec<Once<EmailId>>, StoreError> {
    fn column<'a, T>(emails: &'a [(RequestId, NewEmail)], of: impl Fn(&'a NewEmail) -> T) -> Vec<T> {
        emails.iter().map(|(_, email)| of(email)).collect()
    }
    if emails.is_empty() {
        return Ok(Vec::new());
    }
    let stored: Vec<(RequestId, EmailId)> = sqlx::query_as(
        "insert into emails (request_id, user_id, email, title, message, order_id, kind, message_id, traceparent)
         select request_id, user_id, email, title, message, order_id,
                case when order_id is null then null else 'order-outcome' end, message_id, traceparent
         from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[],
                     $8::text[])
             as new (request_id, user_id, email, title, message, order_id, message_id, traceparent)
         on conflict do nothing
         returning request_id, id",
    )
    .bind(emails.iter().map(|(request, _)| request.0).collect::<Vec<_>>())
    .bind(column(emails, |email| email.user_id.0))
    .bind(column(emails, |email| email.email.as_str()))
    .bind(column(emails, |email| email.title.as_str()))
    .bind(column(emails, |email| email.message.as_str()))
    .bind(column(emails, |email| email.order_id.map(|order| order.0)))
    .bind(column(emails, |_| format!("{}@arch.homework", Uuid::now_v7())))
    .bind(column(emails, |email| email.traceparent.as_deref()))
    .fetch_all(&mut *conn)
    .await?;
    let mut stored: HashMap<RequestId, EmailId> = stored.into_iter().collect();
    let mut outcomes = Vec::with_capacity(emails.len());
    for (request, email) in emails {
        outcomes.push(match stored.remove(request) {
            Some(id) => Once::Done(id),
            None => repeated(conn, *request, email).await?,
        });
    }
    Ok(outcomes)
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

/// At most `limit` of a user's emails with an id above `after`, oldest first.
pub async fn page(
    conn: &mut PgConnection,
    user: UserId,
    after: EmailId,
    limit: i64,
) -> Result<Vec<Email>, StoreError> {
    Ok(sqlx::query_as(
        "select id, user_id, email, title, message, status, order_id, created_at
         from emails where user_id = $1 and id > $2 order by id limit $3",
    )
    .bind(user)
    .bind(after)
    .bind(limit)
    .fetch_all(conn)
    .await?)
}
