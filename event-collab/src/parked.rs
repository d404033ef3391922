//! Emails that wait for an address: the order's end has arrived, but the replica has not heard of the user yet. Users and
//! orders travel on different topics, so either may be first.

use domain::{OrderId, RequestId, UserId};
use serde::Serialize;
use service::Failure;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnection;
use sqlx::types::Json;
use store::Once;
use store::notification::NewEmail;

use crate::replica;

/// The table, for the schema of the notification service.
pub fn migrations() -> Migrator {
    let mut migrator = sqlx::migrate!("migrations/notification");
    migrator.dangerous_set_table_name("_parked_migrations");
    migrator
}

/// An email without an address.
#[derive(sqlx::FromRow, Serialize)]
pub(crate) struct Unaddressed {
    pub(crate) order_id: OrderId,
    pub(crate) user_id: UserId,
    pub(crate) request_id: RequestId,
    pub(crate) title: String,
    pub(crate) message: String,
    pub(crate) traceparent: Option<String>,
}

impl Unaddressed {
    fn to(self, address: String) -> (RequestId, NewEmail) {
        let Self { order_id, user_id, request_id, title, message, traceparent } = self;
        (
            request_id,
            NewEmail { user_id, email: address, title, message, order_id: Some(order_id), traceparent },
        )
    }
}

/// Keeps `emails` until their users are known.
async fn park(tx: &mut PgConnection, emails: &[Unaddressed]) -> Result<(), Failure> {
    tracing::info!(emails = emails.len(), "wait for the addresses of their users");
    sqlx::query(
        "insert into parked_emails (order_id, user_id, request_id, title, message, traceparent)
         select order_id, user_id, request_id, title, message, traceparent
         from jsonb_populate_recordset(null::parked_emails, $1)
         on conflict do nothing",
    )
    .bind(Json(emails))
    .execute(tx)
    .await?;
    Ok(())
}

/// Stores `emails` to be sent; parks those of which nobody knows where they go.
pub(crate) async fn address(tx: &mut PgConnection, emails: Vec<Unaddressed>) -> Result<(), Failure> {
    let homeless = enqueue(tx, emails).await?;
    if homeless.is_empty() {
        return Ok(());
    }
    // Their users may be arriving right now, in another transaction that does not see these emails. So writers of the
    // replica are waited for, and kept out until this is committed.
    sqlx::query("lock table user_replica in share mode").execute(&mut *tx).await?;
    let homeless = enqueue(tx, homeless).await?;
    park(tx, &homeless).await
}

/// Stores those of `emails` whose address is known to be sent; returns the others.
async fn enqueue(tx: &mut PgConnection, emails: Vec<Unaddressed>) -> Result<Vec<Unaddressed>, Failure> {
    let addresses = replica::addresses(tx, emails.iter().map(|email| email.user_id)).await?;
    let (mut addressed, mut homeless) = (Vec::new(), Vec::new());
    for email in emails {
        match addresses.get(&email.user_id) {
            Some(address) => addressed.push(email.to(address.clone())),
            None => homeless.push(email),
        }
    }
    let stored = store::notification::enqueue_all(tx, &addressed).await?;
    match addressed.iter().zip(stored).find(|(_, stored)| *stored == Once::Reused) {
        Some(((_, email), _)) => {
            Err(Failure::Impossible(format!("{:?} ended otherwise before", email.order_id)))
        }
        None => Ok(homeless),
    }
}

/// Stores what waited for the addresses of `users`, whom the replica knows by now.
///
/// # Errors
/// When the database fails.
pub async fn release(tx: &mut PgConnection, users: impl Iterator<Item = UserId>) -> Result<(), Failure> {
    // Of a statement that could be for all users too, the plan for all would be kept, and read the whole replica for each batch.
    let released: Vec<Unaddressed> = sqlx::query_as(
        "delete from parked_emails where user_id = any($1)
         returning order_id, user_id, request_id, title, message, traceparent",
    )
    .bind(users.map(|user| user.0).collect::<Vec<_>>())
    .fetch_all(&mut *tx)
    .await?;
    for email in released {
        let order = email.order_id.0;
        match address(tx, vec![email]).await {
            // Not the user's fault, who would have no replica because of it.
            Err(Failure::Impossible(error)) => tracing::error!(order, error, "a parked email is dropped"),
            outcome => outcome?,
        }
    }
    Ok(())
}
