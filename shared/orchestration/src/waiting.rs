//! How long a client waits, and what it is told when that is over: nothing here changes an order.

use std::time::Duration;

use api::types::CreateOrderRequest;
use api::{ApiError, Prefer};
use axum::response::Response;
use domain::RequestId;
use store::order::Order;
use store::{Pool, StoreError, chain};
use tokio::time::{Instant, timeout_at};

/// However short a client's wait is, a service that is asked before anything is written gets this long to answer.
const ANSWER_MIN: Duration = Duration::from_secs(1);
/// How often a waiting handler looks whether its order was recovered.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What became of a question that is asked before anything is written.
#[derive(Debug)]
pub enum Asked<T> {
    /// The answer.
    Answered(T),
    /// There is none in time.
    TooSlow,
}

impl<T> Asked<T> {
    /// `question`'s answer, if it comes for as long as the client waits (but long enough for an answer).
    pub async fn before(answer_by: Instant, question: impl Future<Output = T>) -> Self {
        match timeout_at(answer_by.max(Instant::now() + ANSWER_MIN), question).await {
            Ok(answer) => Self::Answered(answer),
            Err(_) => Self::TooSlow,
        }
    }
}

/// Looks whether the order is settled, by whomever, while the client waits. `None`: it is not, or nobody can tell. A
/// database that is away may be back in time.
pub async fn settled_before(pool: &Pool, answer_by: Instant, request: RequestId) -> Option<Order> {
    loop {
        let found = find_by_request(pool, request).await;
        let found =
            found.inspect_err(|error| tracing::warn!(error = chain(error), "the outcome cannot be read"));
        let settled = found.ok().flatten().filter(|order| order.settlement().is_some());
        if settled.is_some() || Instant::now() + LOOK_AGAIN > answer_by {
            return settled;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// The order of a repeat while billing is away: its outcome needs nobody but the order service, once there is one. Waits for it until
/// `answer_by`, unless the client does not want to. `None` if the request is no repeat.
///
/// # Errors
/// When the key came with another order before, or the database is away.
pub async fn known_order(
    pool: &Pool,
    request_id: RequestId,
    request: &CreateOrderRequest,
    respond_async: bool,
    answer_by: Instant,
) -> Result<Option<Order>, ApiError> {
    let Some(order) = find_by_request(pool, request_id).await? else { return Ok(None) };
    if order.user_id != request.user_id || order.price != request.price {
        return Err(ApiError::KeyReused);
    }
    let waits = order.settlement().is_none() && !respond_async;
    let settled = if waits { settled_before(pool, answer_by, request_id).await } else { None };
    Ok(Some(settled.unwrap_or(order)))
}

/// 201 for a paid order; a problem that carries the order's id for a rejected one; 202 for a pending one.
pub fn outcome(order: &Order, prefer: &Prefer) -> Result<Response, ApiError> {
    match order.settlement() {
        Some(settlement) => api::order::settled(order.id, settlement),
        None => Ok(api::order::accepted(order.request_id, prefer)),
    }
}

async fn find_by_request(pool: &Pool, request: RequestId) -> Result<Option<Order>, StoreError> {
    pool.run(move |conn| Box::pin(store::order::find_by_request(conn, request))).await
}
