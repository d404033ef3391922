//! What the order service does when it is read. What it does with a new order is each style's own.

use domain::{OrderId, RequestId};
use store::Pool;
use store::order;

use crate::ApiError;
use crate::page::{OrdersQuery, Page};
use crate::types::Order;

/// A page of orders, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn list_orders(pool: &Pool, query: OrdersQuery) -> Result<Page<Order>, ApiError> {
    let OrdersQuery { user_id, after, limit } = query;
    let (after, wanted) = (after.unwrap_or(OrderId(0)), limit.to_look_up());
    let orders = pool.run(move |conn| Box::pin(order::page(conn, user_id, after, wanted))).await?;
    Ok(Page::of(orders, limit))
}

/// An order.
///
/// # Errors
/// When there is none.
pub async fn find_order(pool: &Pool, id: OrderId) -> Result<Order, ApiError> {
    let order = pool.run(move |conn| Box::pin(order::find(conn, id))).await?;
    order.map(Order::from).ok_or(ApiError::NotFound("order"))
}

/// The order that a request led to, once it is terminal; `None` if it is not, or the request was never sent.
///
/// # Errors
/// When the database fails.
pub async fn find_settled(pool: &Pool, request: RequestId) -> Result<Option<Order>, ApiError> {
    let order = pool.run(move |conn| Box::pin(order::find_by_request(conn, request))).await?;
    Ok(order.filter(|order| order.settlement().is_some()).map(Order::from))
}
