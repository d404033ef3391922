//! What the order service asks of billing and notification by gRPC. Each call can be repeated: reading has no effect, and the others
//! carry a `request_id`.

use api::IdempotencyKey;
use api::types::User;
use domain::{Operation, OrderEmail, Refusal as Rejection, RequestId, Settlement, UserId};
use rpc::{CallError as NotDone, Code};
use rpc_contract::billing::{BillingServiceClient, GetUserRequest, WithdrawRequest, user};
use rpc_contract::notification::{NotificationServiceClient, SendEmailRequest};
use rpc_contract::unusable;
use store::order::Order;
use web::PeerError;

/// The two services that the order service calls.
#[derive(Clone)]
pub(crate) struct Calls {
    pub(crate) billing: BillingServiceClient,
    pub(crate) notification: NotificationServiceClient,
}

/// A call that did not lead to an outcome.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// There was no answer, and the next call would get none either.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// There was a refusal that must not be taken for an outcome.
    #[error("an answer that the contract does not know")]
    Unexpected(#[source] NotDone),
}

impl From<NotDone> for CallError {
    /// A refusal that says only that the peer failed does not say what was done, as no answer would not.
    fn from(error: NotDone) -> Self {
        match error {
            NotDone::Peer(error) => Self::Peer(error),
            NotDone::Refused { peer, refusal } if refusal.code.is_failure() => {
                Self::Peer(PeerError::Unanswered { peer, cause: refusal.to_string() })
            }
            refused @ NotDone::Refused { .. } => Self::Unexpected(refused),
        }
    }
}

impl Calls {
    /// `BillingService.GetUser`
    pub(crate) async fn find_user(&self, id: UserId) -> Result<Option<User>, CallError> {
        match self.billing.get_user(&GetUserRequest { user_id: id.0 }).await {
            Ok(found) => Ok(Some(user(found.user).map_err(|what| unusable("billing", what))?)),
            Err(error) => match refusal(&error) {
                (Some(Code::NotFound), "not-found") => Ok(None),
                _ => Err(error.into()),
            },
        }
    }

    /// `BillingService.Withdraw`, named by the order's request: however often it is asked, billing decides once.
    pub(crate) async fn withdraw(&self, order: &Order) -> Result<Settlement, CallError> {
        let request = WithdrawRequest {
            request_id: on_behalf_of(order, Operation::PayOrder).to_string(),
            user_id: order.user_id.0,
            amount_minor: order.price.minor_units(),
            order_id: Some(order.id.0),
        };
        match self.billing.withdraw(&request).await {
            Ok(_) => Ok(Settlement::Paid),
            Err(error) => match refusal(&error) {
                (Some(Code::FailedPrecondition), "insufficient-funds") => {
                    Ok(Settlement::Rejected(Rejection::InsufficientFunds))
                }
                (Some(Code::NotFound), "account-not-found") => {
                    Ok(Settlement::Rejected(Rejection::AccountNotFound))
                }
                _ => Err(error.into()),
            },
        }
    }

    /// `NotificationService.SendEmail`, named by the order's request; the order itself is a second key.
    pub(crate) async fn send_email(
        &self,
        order: &Order,
        email: OrderEmail,
        user: User,
    ) -> Result<(), CallError> {
        let request = SendEmailRequest {
            request_id: on_behalf_of(order, Operation::SendOrderEmail).to_string(),
            user_id: order.user_id.0,
            email: user.email,
            title: email.title.to_owned(),
            message: email.message,
            order_id: Some(order.id.0),
        };
        self.notification.send_email(&request).await?;
        Ok(())
    }
}

/// The request of a step of `order`: apart from all that clients name, and the same whoever takes the step again.
fn on_behalf_of(order: &Order, operation: Operation) -> RequestId {
    IdempotencyKey::from(order.request_id).request_id(operation)
}

/// What was refused, and why; nothing if there was no answer.
fn refusal(error: &NotDone) -> (Option<Code>, &str) {
    (error.refusal().map(|refusal| refusal.code), error.reason())
}
