//! The order service's reads, and the answers to an order: the same in every style.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use domain::{OrderId, RequestId, Settlement, UserId};
use http::{StatusCode, header};
use store::Pool;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{Path, Query};

use crate::billing::not_known_yet;
use crate::docs::{BadRequest, IfNoneMatchHeader, Internal, NotFound, NotModified, Unavailable};
use crate::operations::order as operations;
use crate::page::{OrdersQuery, Page};
use crate::types::{Order, OrderCreated, RequestAccepted};
use crate::{ApiError, Prefer, prefer};

/// All of them.
pub fn routes() -> OpenApiRouter<Pool> {
    OpenApiRouter::new()
        .routes(routes!(list_orders))
        .routes(routes!(get_order))
        .routes(routes!(get_order_request))
}

/// A page of orders, oldest first.
#[utoipa::path(get, path = "/orders", tag = "orders", params(OrdersQuery),
    responses((status = 200, description = "The page.", body = Vec<Order>,
            headers(("Link" = String, description = "The next page, as `rel=\"next\"`, while there is one."))),
        BadRequest, Internal, Unavailable))]
pub async fn list_orders(
    State(pool): State<Pool>,
    Query(query): Query<OrdersQuery>,
) -> Result<Response, ApiError> {
    Ok(listed(operations::list_orders(&pool, query).await?, query.user_id))
}

/// An order.
#[utoipa::path(get, path = "/orders/{orderId}", tag = "orders",
    params(("orderId" = inline(OrderId), Path), IfNoneMatchHeader),
    responses((status = 200, description = "The order.", body = Order,
            headers(("ETag" = String, description = "The order's version."))),
        NotModified, NotFound, Internal, Unavailable))]
pub async fn get_order(State(pool): State<Pool>, Path(id): Path<OrderId>) -> Result<Response, ApiError> {
    Ok(with_etag(operations::find_order(&pool, id).await?))
}

/// The order that a request led to, once it is terminal.
#[utoipa::path(get, path = "/orders/requests/{requestId}", tag = "orders",
    params(("requestId" = inline(RequestId), Path)),
    responses((status = 200, description = "The order, paid or rejected.", body = Order),
        (status = 202, description = "Not decided yet, or never sent.", body = RequestAccepted,
            headers(("Retry-After" = u32, description = "When to ask again, in seconds."))),
        NotFound, Internal, Unavailable))]
pub async fn get_order_request(
    State(pool): State<Pool>,
    Path(request): Path<RequestId>,
) -> Result<Response, ApiError> {
    Ok(settled_by_request(operations::find_settled(&pool, request).await?, request))
}

/// 200 with a page of orders: `user`'s, or everybody's.
pub fn listed(page: Page<Order>, user: Option<UserId>) -> Response {
    let user = user.map(|user| format!("userId={user}&")).unwrap_or_default();
    page.respond(|last| format!("/orders?{user}after={}", last.id))
}

/// 200 with the order. It changes with its version only.
pub fn with_etag(order: Order) -> Response {
    ([(header::ETAG, format!("\"{}\"", order.version))], axum::Json(order)).into_response()
}

/// 200 with the order that `request` led to; 202 while it is not known.
pub fn settled_by_request(order: Option<Order>, request: RequestId) -> Response {
    match order {
        Some(order) => axum::Json(order).into_response(),
        None => not_known_yet(request),
    }
}

/// 201 for a paid order; a problem that carries the order's id for a rejected one.
///
/// # Errors
/// When it was rejected.
pub fn settled(order_id: OrderId, settlement: Settlement) -> Result<Response, ApiError> {
    match settlement {
        Settlement::Rejected(refusal) => Err(ApiError::Withdrawal(refusal, Some(order_id))),
        Settlement::Paid => {
            let location = [(header::LOCATION, format!("/orders/{order_id}"))];
            Ok((StatusCode::CREATED, location, axum::Json(OrderCreated { order_id })).into_response())
        }
    }
}

/// 202: the order cannot be lost, and this is where its outcome will be.
pub fn accepted(request_id: RequestId, prefer: &Prefer) -> Response {
    prefer::accepted(format!("/orders/requests/{request_id}"), request_id, prefer)
}
