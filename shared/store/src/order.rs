//! The order service's table.

use chrono::{DateTime, Utc};
use domain::{Amount, OrderId, OrderStatus, Refusal, RequestId, Settlement, UserId};
use sqlx::postgres::{PgConnection, PgPool};

use crate::{Once, StoreError};

/// Creates the tables or brings them up to date. Safe to run by several replicas at once.
pub async fn migrate(pool: &PgPool) -> Result<(), StoreError> {
    crate::migrate(pool, &sqlx::migrate!("migrations/order")).await
}

/// An order as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Order {
    /// Which.
    pub id: OrderId,
    /// The client's request that made it.
    pub request_id: RequestId,
    /// Who ordered; not checked against anything, since users live in billing.
    pub user_id: UserId,
    /// What it costs.
    pub price: Amount,
    /// Where it stands.
    pub status: OrderStatus,
    /// Why it was rejected.
    pub reason: Option<Refusal>,
    /// Number of states it has been in.
    pub version: i64,
    /// When it was stored.
    pub created_at: DateTime<Utc>,
    /// When it changed last.
    pub updated_at: DateTime<Utc>,
}

impl Order {
    /// How it ended; `None` while it is pending.
    pub fn settlement(&self) -> Option<Settlement> {
        Settlement::of(self.status, self.reason)
    }
}

/// Stores a pending order, once per `request`.
pub async fn create(
    conn: &mut PgConnection,
    request: RequestId,
    user: UserId,
    price: Amount,
) -> Result<Once<Order>, StoreError> {
    let created: Option<Order> = sqlx::query_as(
        "insert into orders (request_id, user_id, price) values ($1, $2, $3)
         on conflict do nothing
         returning id, request_id, user_id, price, status, reason, version, created_at, updated_at",
    )
    .bind(request)
    .bind(user)
    .bind(price)
    .fetch_optional(&mut *conn)
    .await?;
    if let Some(order) = created {
        return Ok(Once::Done(order));
    }
    match find_by_request(conn, request).await? {
        Some(order) if order.user_id == user && order.price == price => Ok(Once::Repeated(order)),
        Some(_) => Ok(Once::Reused),
        None => Err(sqlx::Error::RowNotFound.into()),
    }
}

/// Moves a pending order to its terminal status. `None` when it is not pending (any more): a terminal status never changes.
pub async fn settle(
    conn: &mut PgConnection,
    id: OrderId,
    settlement: Settlement,
) -> Result<Option<Order>, StoreError> {
    let Ok((status, reason)) = settlement.apply(OrderStatus::Pending) else {
        return Ok(None);
    };
    Ok(sqlx::query_as(
        "update orders set status = $2, reason = $3, version = version + 1, updated_at = now()
         where id = $1 and status = 'pending'
         returning id, request_id, user_id, price, status, reason, version, created_at, updated_at",
    )
    .bind(id)
    .bind(status)
    .bind(reason)
    .fetch_optional(conn)
    .await?)
}

/// Looks up an order.
pub async fn find(conn: &mut PgConnection, id: OrderId) -> Result<Option<Order>, StoreError> {
    Ok(sqlx::query_as(
        "select id, request_id, user_id, price, status, reason, version, created_at, updated_at
         from orders where id = $1",
    )
    .bind(id)
    .fetch_optional(conn)
    .await?)
}

/// Looks up the order that a request made.
pub async fn find_by_request(
    conn: &mut PgConnection,
    request: RequestId,
) -> Result<Option<Order>, StoreError> {
    Ok(sqlx::query_as(
        "select id, request_id, user_id, price, status, reason, version, created_at, updated_at
         from orders where request_id = $1",
    )
    .bind(request)
    .fetch_optional(conn)
    .await?)
}

/// At most `limit` orders with an id above `after`, oldest first; all users' without `user`.
pub async fn page(
    conn: &mut PgConnection,
    user: Option<UserId>,
    after: OrderId,
    limit: i64,
) -> Result<Vec<Order>, StoreError> {
    Ok(sqlx::query_as(
        "select id, request_id, user_id, price, status, reason, version, created_at, updated_at
         from orders where ($1::bigint is null or user_id = $1) and id > $2 order by id limit $3",
    )
    .bind(user)
    .bind(after)
    .bind(limit)
    .fetch_all(conn)
    .await?)
}
