//! What the services of this style ask each other once they have been notified: a GET, always of the owner.

use std::time::Duration;

use api::types::{FinishedRequest, Order, User};
use domain::{Balance, OrderId, RequestId, UserId};
use http::StatusCode;
use messaging::{Event, HandlerError as _, Metadata};
use tokio::time::sleep;
use web::{Answer, Call, Peer, RequestContext, Retry};

use crate::failure::Failure;

/// How long one question may take. The message waits, and everything behind it. Who asks also asks again, so the client does
/// not: one layer retries, not two.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// For how long the owner of what a message tells about may not know of it yet.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bounds the wait, of full jitter, before a question is asked again for a client who waits: at first, and later.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// `GET /orders/{orderId}`, for `notified`: the order of which that tells, in that version or a later one.
///
/// # Errors
/// An owner that does not know what it has said itself is asked again, for a while; then the message is a dead letter.
pub(crate) async fn find_order<M>(
    owner: &Peer,
    order: OrderId,
    notified: &Event<M>,
) -> Result<Order, Failure> {
    let path = format!("/orders/{order}");
    let answer = ask(owner, &path, &notified.metadata).await?;
    let found: Option<Order> = read(owner, &path, &answer)?;
    let told = notified.metadata.aggregate_version.unwrap_or(0);
    found.filter(|found| found.version >= told).ok_or_else(|| not_yet(order, notified))
}

/// `notified` tells more about an order than its owner knows.
pub(crate) fn not_yet<M>(order: OrderId, notified: &Event<M>) -> Failure {
    if notified.received_at.elapsed() < PATIENCE {
        return Failure::NotYet(order);
    }
    Failure::Impossible(format!("the order service does not know that of order {order}"))
}

/// `GET /billing/user/{userId}`; `None` where there is no such user.
pub(crate) async fn find_user<M>(
    owner: &Peer,
    user: UserId,
    notified: &Event<M>,
) -> Result<Option<User>, Failure> {
    let path = format!("/billing/user/{user}");
    let answer = ask(owner, &path, &notified.metadata).await?;
    read(owner, &path, &answer)
}

/// `GET /billing/requests/{requestId}`: what the account held after a deposit.
pub(crate) async fn find_balance(owner: &Peer, request: RequestId) -> Result<Balance, Failure> {
    let path = format!("/billing/requests/{request}");
    let answer = owner.ask(Call::get(&path).retry(Retry::No)).await?;
    let finished: Option<FinishedRequest> = read(owner, &path, &answer)?;
    let balance = finished.and_then(|finished| finished.balance);
    balance.ok_or_else(|| Failure::NoAnswer(format!("{} does not know a deposit's balance", owner.name())))
}

/// Asks until there is an answer, for somebody who waits for it: an owner that is away may be back in time.
pub(crate) async fn persistently<T, F>(ask: impl Fn() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut wait = BACKOFF.0;
    loop {
        match ask().await {
            Err(error) if error.is_transient() => sleep(wait.mul_f64(fastrand::f64())).await,
            answer => return answer,
        }
        wait = (wait * 2).min(BACKOFF.1);
    }
}

async fn ask(owner: &Peer, path: &str, notified: &Metadata) -> Result<Answer, Failure> {
    let mut context = RequestContext::background(ANSWER_MAX);
    context.id = notified.correlation_id.to_string();
    Ok(context.scope(owner.ask(Call::get(path).retry(Retry::No))).await?)
}

/// What was found; `None` for a 404 of the owner's own, not of a path that it does not have.
///
/// # Errors
/// Any other answer is none to this question: whoever gives it is not the owner, or not in this version. That can be mended, so
/// the message waits.
fn read<T: serde::de::DeserializeOwned>(
    owner: &Peer,
    path: &str,
    answer: &Answer,
) -> Result<Option<T>, Failure> {
    match (answer.status, answer.json()) {
        (StatusCode::OK, Ok(found)) => Ok(Some(found)),
        (StatusCode::NOT_FOUND, _) if answer.problem_code().as_deref() == Some("not-found") => Ok(None),
        (status, _) => Err(Failure::NoAnswer(format!("{} answered {status} to GET {path}", owner.name()))),
    }
}
