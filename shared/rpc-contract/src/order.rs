//! The order service's messages.

use api::Prefer;
use api::page::{OrdersQuery, Page};
use api::types;
use domain::{Amount, OrderId, OrderStatus as Status, Refusal as Rejection, RequestId, UserId};
use rpc::Refusal;

use crate::fields::{page_limit, parse, time, timestamp};
use crate::refusals::invalid;

pub use crate::proto::order::v1::*;
pub use create_order_response::Outcome;

/// Each status, in words of both sides.
const STATUSES: [(Status, OrderStatus); 3] = [
    (Status::Pending, OrderStatus::Pending),
    (Status::Paid, OrderStatus::Paid),
    (Status::Rejected, OrderStatus::Rejected),
];
/// Each reason, in words of both sides.
const REASONS: [(Rejection, RejectionReason); 2] = [
    (Rejection::InsufficientFunds, RejectionReason::InsufficientFunds),
    (Rejection::AccountNotFound, RejectionReason::AccountNotFound),
];

impl CreateOrderRequest {
    /// What a gateway asks with.
    pub fn of(request: RequestId, asked: types::CreateOrderRequest, prefer: &Prefer) -> Self {
        Self {
            request_id: request.to_string(),
            user_id: asked.user_id.0,
            price_minor: asked.price.minor_units(),
            wait: prefer.wait().try_into().ok(),
            respond_async: prefer.respond_async,
        }
    }

    /// What it asks for, if that is valid.
    pub fn asked(&self) -> Result<(types::CreateOrderRequest, Prefer), Refusal> {
        let price = parse("price_minor", self.price_minor)?;
        let wait = self.wait.map(std::time::Duration::try_from).transpose();
        let wait = wait.map_err(|_| invalid("wait", "must not be negative"))?;
        let asked = types::CreateOrderRequest { user_id: UserId(self.user_id), price };
        Ok((asked, Prefer::new(wait, self.respond_async)))
    }
}

impl From<types::Order> for Order {
    fn from(order: types::Order) -> Self {
        let types::Order { id, user_id, price, status, reason, version, created_at, updated_at } = order;
        let status =
            STATUSES.iter().find(|row| row.0 == status).map_or(OrderStatus::Unspecified, |row| row.1);
        let reason = reason.and_then(|reason| REASONS.iter().find(|row| row.0 == reason));
        Self {
            id: id.0,
            user_id: user_id.0,
            price_minor: price.minor_units(),
            status: status.into(),
            reason: reason.map(|row| row.1.into()),
            version,
            created_at: Some(timestamp(created_at)),
            updated_at: Some(timestamp(updated_at)),
        }
    }
}

/// The order in a response.
pub fn order(order: Order) -> Result<types::Order, String> {
    let (status, why) = (order.status(), order.reason());
    let status = STATUSES.iter().find(|row| row.1 == status).ok_or("an unknown status")?;
    let reason = REASONS.iter().find(|row| row.1 == why);
    let price = Amount::new(order.price_minor).map_err(|error| format!("price_minor {error}"))?;
    Ok(types::Order {
        id: OrderId(order.id),
        user_id: UserId(order.user_id),
        price,
        status: status.0,
        reason: reason.map(|row| row.0),
        version: order.version,
        created_at: time("created_at", order.created_at)?,
        updated_at: time("updated_at", order.updated_at)?,
    })
}

impl ListOrdersRequest {
    /// What a gateway asks with.
    pub fn of(query: OrdersQuery) -> Self {
        Self {
            user_id: query.user_id.map(|user| user.0),
            after: query.after.map(|order| order.0),
            limit: Some(query.limit.entries().into()),
        }
    }

    /// What it asks for, if that is valid.
    pub fn asked(&self) -> Result<OrdersQuery, Refusal> {
        Ok(OrdersQuery {
            user_id: self.user_id.map(UserId),
            after: self.after.map(OrderId),
            limit: page_limit(self.limit)?,
        })
    }
}

impl From<Page<types::Order>> for ListOrdersResponse {
    fn from(page: Page<types::Order>) -> Self {
        let next_after = page.entries.last().filter(|_| page.has_next).map(|order| order.id.0);
        Self { orders: page.entries.into_iter().map(Order::from).collect(), next_after }
    }
}
