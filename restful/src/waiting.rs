//! How long a client waits, and what it is told when that is over: nothing here changes an order.

use std::time::Duration;

use api::types::{CreateOrderRequest, User};
use api::{ApiError, Prefer};
use axum::response::Response;
use domain::{RequestId, UserId};
use store::StoreError;
use store::order::Order;
use tokio::time::{Instant, timeout_at};

use crate::order::Orders;

/// However short a client's wait is, billing gets this long to say who orders.
const FIND_USER_MIN: Duration = Duration::from_secs(1);
/// How often a waiting handler looks whether its order was recovered.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

impl Orders {
    /// Asks billing who orders, for as long as the client waits (but long enough for an answer).
    pub(crate) async fn find_user_before(
        &self,
        answer_by: Instant,
        user: UserId,
    ) -> Result<Option<User>, ApiError> {
        let give_up = answer_by.max(Instant::now() + FIND_USER_MIN);
        match timeout_at(give_up, self.calls.find_user(user)).await {
            Ok(Ok(user)) => Ok(user),
            Ok(Err(error)) => {
                tracing::warn!(%error, "order refused");
                Err(ApiError::Unavailable(
                    "The billing service cannot be asked. Nothing was done; try again.".to_owned(),
                ))
            }
            Err(_) => Err(ApiError::Unavailable(
                "The billing service is too slow. Nothing was done; try again.".to_owned(),
            )),
        }
    }

    /// Looks whether the order is settled, by whomever, while the client waits. `None`: it is not, or nobody can tell. A
    /// database that is away may be back in time.
    pub(crate) async fn settled_before(&self, answer_by: Instant, request: RequestId) -> Option<Order> {
        loop {
            let found = self.find_by_request(request).await;
            let found = found.inspect_err(|error| tracing::warn!(%error, "the outcome cannot be read"));
            let settled = found.ok().flatten().filter(|order| order.settlement().is_some());
            if settled.is_some() || Instant::now() + LOOK_AGAIN > answer_by {
                return settled;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// The answer to a repeat while billing is away: the outcome needs nobody but this service, once there is one.
    pub(crate) async fn known_outcome(
        &self,
        request_id: RequestId,
        request: &CreateOrderRequest,
        prefer: Prefer,
        answer_by: Instant,
    ) -> Result<Option<Response>, ApiError> {
        let Some(order) = self.find_by_request(request_id).await? else { return Ok(None) };
        if order.user_id != request.user_id || order.price != request.price {
            return Err(ApiError::KeyReused);
        }
        let waits = order.settlement().is_none() && !prefer.respond_async;
        let settled = if waits { self.settled_before(answer_by, request_id).await } else { None };
        outcome(&settled.unwrap_or(order), &prefer).map(Some)
    }

    async fn find_by_request(&self, request: RequestId) -> Result<Option<Order>, StoreError> {
        self.pool.run(move |conn| Box::pin(store::order::find_by_request(conn, request))).await
    }
}

/// 201 for a paid order; a problem that carries the order's id for a rejected one; 202 for a pending one.
pub(crate) fn outcome(order: &Order, prefer: &Prefer) -> Result<Response, ApiError> {
    match order.settlement() {
        Some(settlement) => api::order::settled(order.id, settlement),
        None => Ok(api::order::accepted(order.request_id, prefer)),
    }
}
