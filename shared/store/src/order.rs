//! The order service's table.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::{Amount, OrderId, OrderStatus, Refusal, RequestId, Settlement, UserId};
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::{Once, StoreError};

/// The service's tables.
pub fn migrations() -> Migrator {
    sqlx::migrate!("migrations/order")
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

/// An order that is to be stored.
#[derive(Clone, Copy, Debug)]
pub struct NewOrder {
    /// The client's request.
    pub request: RequestId,
    /// Who orders.
    pub user: UserId,
    /// What it costs.
    pub price: Amount,
    /// The version of the profile it is taken with, in styles that have a replica of users.
    pub user_version: Option<i64>,
}

/// Stores a pending order, once per request.
pub async fn create(conn: &mut PgConnection, order: NewOrder) -> Result<Once<Order>, StoreError> {
    let mut created = create_all(conn, &[order]).await?;
    created.pop().ok_or_else(|| sqlx::Error::RowNotFound.into())
}

/// Stores pending orders, each once per request, in one statement; says of each, in their order, what became of it.
pub async fn create_all(
    conn: &mut PgConnection,
    orders: &[NewOrder],
) -> Result<Vec<Once<Order>>, StoreError> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let requests: Vec<Uuid> = orders.iter().map(|order| order.request.0).collect();
    let stored: Vec<Order> = sqlx::query_as(
        "insert into orders (request_id, user_id, price, user_version)
         select * from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[]) on conflict do nothing
         returning id, request_id, user_id, price, status, reason, version, created_at, updated_at",
    )
    .bind(&requests)
    .bind(orders.iter().map(|order| order.user.0).collect::<Vec<_>>())
    .bind(orders.iter().map(|order| order.price.minor_units()).collect::<Vec<_>>())
    .bind(orders.iter().map(|order| order.user_version).collect::<Vec<_>>())
    .fetch_all(&mut *conn)
    .await?;
    let mut stored = by_request(stored);
    let mut known = HashMap::new();
    if stored.len() < orders.len() {
        known = by_request(find_by_requests(conn, &requests).await?);
    }
    let outcome = |asked: &NewOrder| match (stored.remove(&asked.request), known.get(&asked.request)) {
        (Some(order), _) => Ok(Once::Done(order)),
        (None, Some(order)) if order.user_id == asked.user && order.price == asked.price => {
            Ok(Once::Repeated(order.clone()))
        }
        (None, Some(_)) => Ok(Once::Reused),
        (None, None) => Err(sqlx::Error::RowNotFound.into()),
    };
    orders.iter().map(outcome).collect()
}

fn by_request(orders: Vec<Order>) -> HashMap<RequestId, Order> {
    orders.into_iter().map(|order| (order.request_id, order)).collect()
}

/// Moves a pending order to its terminal status. `None` when it is not pending (any more): a terminal status never changes.
pub async fn settle(
    conn: &mut PgConnection,
    id: OrderId,
    settlement: Settlement,
) -> Result<Option<Order>, StoreError> {
    Ok(settle_all(conn, &[(id, settlement)]).await?.remove(&id))
}

/// As [`settle`], in one statement. Each order must be there once; those that are not pending are missing in what is returned.
pub async fn settle_all(
    conn: &mut PgConnection,
    settlements: &[(OrderId, Settlement)],
) -> Result<HashMap<OrderId, Order>, StoreError> {
    if settlements.is_empty() {
        return Ok(HashMap::new());
    }
    let (ids, decided): (Vec<i64>, Vec<_>) =
        settlements.iter().map(|(id, settlement)| (id.0, settlement.status_and_reason())).unzip();
    let settled: Vec<Order> = sqlx::query_as(
        "update orders set status = decided.status, reason = decided.reason, version = version + 1, updated_at = now()
         from unnest($1::bigint[], $2::text[], $3::text[]) as decided (id, status, reason)
         where orders.id = decided.id and orders.status = 'pending'
         returning orders.id, request_id, user_id, price, orders.status, orders.reason, version, created_at, updated_at",
    )
    .bind(ids)
    .bind(decided.iter().map(|(status, _)| status.as_str()).collect::<Vec<_>>())
    .bind(decided.iter().map(|(_, reason)| reason.map(Refusal::as_str)).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    Ok(settled.into_iter().map(|order| (order.id, order)).collect())
}

/// What was decided about an order contradicts what is stored.
#[derive(Debug, thiserror::Error)]
pub enum DecisionError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such order.
    #[error("there is no order {0}")]
    Unknown(OrderId),
    /// It has ended otherwise.
    #[error("order {0} is {1:?} already")]
    Otherwise(OrderId, OrderStatus),
}

/// Settles orders as billing has decided, in one statement; for each decision the order that it settled. `None` for one that was
/// told before: what is said again must be what was said before.
///
/// # Errors
/// When it is not; nothing of the batch may be committed then.
pub async fn settle_as_decided(
    conn: &mut PgConnection,
    decided: &[(OrderId, Settlement)],
) -> Result<Vec<Option<Order>>, DecisionError> {
    let once: HashMap<OrderId, Settlement> = decided.iter().copied().collect();
    let mut settled = settle_all(conn, &once.into_iter().collect::<Vec<_>>()).await?;
    let mut outcomes = Vec::with_capacity(decided.len());
    for (id, settlement) in decided {
        let now = settled.remove(id);
        let known = match &now {
            Some(order) => Some(order.clone()),
            None => find(conn, *id).await?,
        };
        match known {
            Some(order) if order.settlement() == Some(*settlement) => outcomes.push(now),
            Some(order) => return Err(DecisionError::Otherwise(*id, order.status)),
            None => return Err(DecisionError::Unknown(*id)),
        }
    }
    Ok(outcomes)
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
    Ok(find_by_requests(conn, &[request.0]).await?.pop())
}

async fn find_by_requests(conn: &mut PgConnection, requests: &[Uuid]) -> Result<Vec<Order>, StoreError> {
    Ok(sqlx::query_as(
        "select id, request_id, user_id, price, status, reason, version, created_at, updated_at
         from orders where request_id = any($1)",
    )
    .bind(requests)
    .fetch_all(conn)
    .await?)
}

/// At most `limit` orders with an id above `after`, oldest first; all users' without `user`.
pub async fn page(
    conn: &mut PgConnection,
    user: Option<UserId>,
    after: OrderId,
    limit: i64,
) -> Result<Vec<Order>, StoreError> {
    // One statement for both would be planned once for both: it read all orders to find one user's.
    let page = match user {
        Some(user) => sqlx::query_as(
            "select id, request_id, user_id, price, status, reason, version, created_at, updated_at
             from orders where id > $1 and user_id = $3 order by id limit $2",
        )
        .bind(after)
        .bind(limit)
        .bind(user),
        None => sqlx::query_as(
            "select id, request_id, user_id, price, status, reason, version, created_at, updated_at
             from orders where id > $1 order by id limit $2",
        )
        .bind(after)
        .bind(limit),
    };
    Ok(page.fetch_all(conn).await?)
}
