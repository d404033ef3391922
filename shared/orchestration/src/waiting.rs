//! How long a client waits, and what it is told when that is over: nothing here changes an order.

use std::time::Duration;

use api::types::CreateOrderRequest;
use api::{ApiError, Prefer};
use axum::response::Response;
use domain::{OrderId, RequestId, Settlement};
use futures_util::{Stream, StreamExt as _};
use store::order::Order;
use store::{Pool, StoreError, chain};
use tokio::time::{Instant, sleep_until, timeout_at};

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

/// How soon after news of an order its effect may be read, at first ...
const SOON: Duration = Duration::from_millis(2);
/// ... and how often it is looked for without news.
const LOOK_WITHOUT_NEWS: Duration = Duration::from_millis(500);

/// How the order ended, if it does before `answer_by`. Each of `news` says that something was heard of it. What comes of that is
/// done elsewhere, perhaps in another replica, at the same time: it can be read a moment later. Whoever hears nothing
/// looks all the same.
pub async fn settled_after_news(
    pool: &Pool,
    answer_by: Instant,
    order: OrderId,
    mut news: impl Stream<Item = ()> + Unpin,
) -> Option<Settlement> {
    let mut pause = LOOK_WITHOUT_NEWS;
    loop {
        let look_at = answer_by.min(Instant::now() + pause);
        match timeout_at(look_at, news.next()).await {
            Ok(Some(())) => {
                pause = SOON;
                continue;
            }
            Ok(None) => sleep_until(look_at).await,
            Err(_) => {}
        }
        let found = pool.run(move |conn| Box::pin(store::order::find(conn, order))).await;
        let found =
            found.inspect_err(|error| tracing::warn!(error = chain(error), "the outcome cannot be read"));
        let settlement = found.ok().flatten().and_then(|order| order.settlement());
        if settlement.is_some() || Instant::now() >= answer_by {
            return settlement;
        }
        pause = (pause * 2).min(LOOK_WITHOUT_NEWS);
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
