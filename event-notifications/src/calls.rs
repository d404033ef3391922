//! What the services of this style ask each other once they have been notified: a GET, always of the owner.

use std::time::Duration;

use api::types::{FinishedRequest, Order, User};
use domain::{Balance, OrderId, RequestId, UserId};
use messaging::{Event, Metadata};
use serde::de::DeserializeOwned;
use service::Failure;
use web::{Call, Peer, RequestContext, Retry};

/// How long one question may take. The message waits, and everything behind it. Who asks also asks again, so the client does
/// not: one layer retries, not two.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// For how long the owner of what a message tells about may not know of it yet.
const PATIENCE: Duration = Duration::from_secs(5);

/// `GET /orders/{orderId}`, for `notified`: the order of which that tells, in that version or a later one.
///
/// # Errors
/// An owner that does not know what it has said itself is asked again, for a while; then the message is a dead letter.
pub(crate) async fn find_order<M>(
    owner: &Peer,
    order: OrderId,
    notified: &Event<M>,
) -> Result<Order, Failure> {
    let found: Option<Order> = ask(owner, format!("/orders/{order}"), &notified.metadata).await?;
    let told = notified.metadata.aggregate_version.unwrap_or(0);
    found.filter(|found| found.version >= told).ok_or_else(|| not_yet(order, notified))
}

/// `notified` tells more about an order than its owner knows.
pub(crate) fn not_yet<M>(order: OrderId, notified: &Event<M>) -> Failure {
    if notified.received_at.elapsed() < PATIENCE {
        return Failure::NotYet(format!("order {order}"));
    }
    Failure::Impossible(format!("the order service does not know that of order {order}"))
}

/// `GET /billing/user/{userId}`; `None` where there is no such user.
pub(crate) async fn find_user<M>(
    owner: &Peer,
    user: UserId,
    notified: &Event<M>,
) -> Result<Option<User>, Failure> {
    ask(owner, format!("/billing/user/{user}"), &notified.metadata).await
}

/// `GET /billing/requests/{requestId}`: what the account held after a deposit.
pub(crate) async fn find_balance(owner: &Peer, request: RequestId) -> Result<Balance, Failure> {
    let question = Call::get(format!("/billing/requests/{request}")).retry(Retry::No);
    let finished: Option<FinishedRequest> = owner.find(question).await?;
    let balance = finished.and_then(|finished| finished.balance);
    balance.ok_or_else(|| Failure::NotYet(format!("the balance after request {request}")))
}

async fn ask<T: DeserializeOwned>(
    owner: &Peer,
    path: String,
    notified: &Metadata,
) -> Result<Option<T>, Failure> {
    let mut context = RequestContext::background(ANSWER_MAX);
    context.id = notified.correlation_id.to_string();
    Ok(context.scope(owner.find(Call::get(path).retry(Retry::No))).await?)
}
