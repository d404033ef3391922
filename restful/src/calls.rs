//! What the order service asks of billing and notification over HTTP. Each call can be repeated: reading has no effect, and
//! the others carry a key.

use api::types::{OrderEmailRequest, OrderWithdrawRequest, User};
use api::{IDEMPOTENCY_KEY, IdempotencyKey};
use domain::{OrderEmail, Refusal, Settlement, TextError, UserId};
use http::StatusCode;
use store::order::Order;
use web::{Answer, Call, Peer, PeerError, Retry};

/// The two services that the order service calls.
#[derive(Clone)]
pub(crate) struct Calls {
    pub(crate) billing: Peer,
    pub(crate) notification: Peer,
}

/// A call that did not lead to an outcome.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// There was no answer, and the next call would get none either.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// Billing's answer has no valid email address.
    #[error("billing gave an address that no email can be sent to")]
    Address(#[source] TextError),
    /// There was an answer that must not be taken for an outcome, whatever its status looks like.
    #[error("the {peer} service answered {status} {code:?}, which its contract does not know")]
    Unexpected { peer: &'static str, status: StatusCode, code: Option<String> },
}

impl Calls {
    /// `GET /billing/user/{userId}`
    pub(crate) async fn find_user(&self, user: UserId) -> Result<Option<User>, CallError> {
        let answer = self.billing.ask(Call::get(format!("/billing/user/{user}"))).await?;
        match (answer.status, answer.json()) {
            (StatusCode::OK, Ok(user)) => Ok(Some(user)),
            (StatusCode::NOT_FOUND, _) if answer.problem_code().as_deref() == Some("not-found") => Ok(None),
            _ => Err(unexpected(&self.billing, &answer)),
        }
    }

    /// `POST /billing/withdraw/{userId}`, keyed by the order's request: however often it is asked, billing decides once.
    pub(crate) async fn withdraw(&self, order: &Order) -> Result<Settlement, CallError> {
        let body = OrderWithdrawRequest { amount: order.price, order_id: Some(order.id) };
        let call = Call::post(format!("/billing/withdraw/{}", order.user_id), &body)
            .header(IDEMPOTENCY_KEY, IdempotencyKey::from(order.request_id).header_value())
            .retry(Retry::Yes);
        let answer = self.billing.ask(call).await?;
        match (answer.status, answer.problem_code().as_deref()) {
            (StatusCode::OK, _) => Ok(Settlement::Paid),
            (StatusCode::PRECONDITION_FAILED, Some("insufficient-funds")) => {
                Ok(Settlement::Rejected(Refusal::InsufficientFunds))
            }
            (StatusCode::NOT_FOUND, Some("account-not-found")) => {
                Ok(Settlement::Rejected(Refusal::AccountNotFound))
            }
            _ => Err(unexpected(&self.billing, &answer)),
        }
    }

    /// `POST /notification/email/{userId}`, keyed by the order's request; the order itself is a second key.
    pub(crate) async fn send_email(
        &self,
        order: &Order,
        email: OrderEmail,
        user: User,
    ) -> Result<(), CallError> {
        let body = OrderEmailRequest {
            email: user.email.parse().map_err(CallError::Address)?,
            title: email.title.parse().expect("a title of ours"),
            message: email.message.parse().expect("a text of ours"),
            order_id: Some(order.id),
        };
        let call = Call::post(format!("/notification/email/{}", order.user_id), &body)
            .header(IDEMPOTENCY_KEY, IdempotencyKey::from(order.request_id).header_value())
            .retry(Retry::Yes);
        let answer = self.notification.ask(call).await?;
        if answer.status == StatusCode::ACCEPTED {
            Ok(())
        } else {
            Err(unexpected(&self.notification, &answer))
        }
    }
}

fn unexpected(peer: &Peer, answer: &Answer) -> CallError {
    CallError::Unexpected { peer: peer.name(), status: answer.status, code: answer.problem_code() }
}
