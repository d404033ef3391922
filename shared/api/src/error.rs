//! The one error type of handlers, and the one place where an error becomes an answer.
//!
//! A refusal that the contract names is a variant of its own. What the caller cannot mend is `Unavailable` (503, come back)
//! or `Internal` (500: fixed text for the client, the cause goes to the log, here and only here).

use axum::response::{IntoResponse, Response};
use domain::{OrderId, Refusal, RegistrationRefusal};
use http::StatusCode;
use serde_json::Value;
use store::billing::{DepositRefusal, UpdateRefusal, WithdrawError};
use store::{StoreError, chain};
use web::{PeerError, Problem};

/// Why a request was not done.
#[derive(Debug)]
pub enum ApiError {
    /// There is no such thing: a user, an order, a request.
    NotFound(&'static str),
    /// A registration was refused.
    Registration(RegistrationRefusal),
    /// Somebody else has the email address of a profile update.
    EmailTaken,
    /// `If-Match` names another version.
    OtherVersion,
    /// A deposit would push the balance past what a JSON number carries.
    BalanceOverflow,
    /// A withdrawal was refused, directly or for an order.
    Withdrawal(Refusal, Option<OrderId>),
    /// The idempotency key came with other content before.
    KeyReused,
    /// The order was charged under another key.
    OrderAlreadyCharged(OrderId),
    /// What was asked does not fit what is there; says so, with a stable code.
    Conflict(&'static str, &'static str),
    /// A header that cannot be understood.
    InvalidHeader(&'static str, &'static str),
    /// Something this depends on is away.
    Unavailable(String),
    /// Our fault.
    Internal(Box<dyn std::error::Error + Send + Sync>),
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::NotFound(what) => Problem::not_found(format!("There is no such {what}.")),
            ApiError::Registration(RegistrationRefusal::UsernameTaken) => {
                Problem::new(StatusCode::CONFLICT, "username-taken", "Username taken")
                    .detail("Somebody else has this username.")
            }
            ApiError::Registration(RegistrationRefusal::EmailTaken) | ApiError::EmailTaken => {
                Problem::new(StatusCode::CONFLICT, "email-taken", "Email address taken")
                    .detail("Somebody else has this email address.")
            }
            ApiError::OtherVersion => Problem::new(
                StatusCode::PRECONDITION_FAILED,
                "version-mismatch",
                "The profile has another version",
            )
            .detail("The profile has changed since the version that If-Match names. Read it again."),
            ApiError::BalanceOverflow => {
                Problem::new(StatusCode::BAD_REQUEST, "balance-overflow", "The balance would be too large")
                    .detail("A balance may be at most 9007199254740991 minor units.")
                    .with("field", "amount")
            }
            ApiError::Withdrawal(refusal, order) => withdrawal_problem(refusal, order),
            ApiError::KeyReused => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                "Idempotency key reused",
            )
            .detail(
                "This Idempotency-Key came with another request before. Use a new key for a new request.",
            ),
            ApiError::OrderAlreadyCharged(order) => Problem::new(
                StatusCode::CONFLICT,
                "order-already-charged",
                "The order was charged already",
            )
            .detail("An order is charged at most once. Repeat a withdrawal with the same Idempotency-Key.")
            .with("orderId", order.0),
            ApiError::Conflict(code, why) => {
                Problem::new(StatusCode::CONFLICT, code, "It conflicts with what is there").detail(why)
            }
            ApiError::InvalidHeader(header, why) => {
                Problem::invalid_request(header, format!("{header}: {why}"))
            }
            ApiError::Unavailable(what) => Problem::unavailable(what),
            ApiError::Internal(error) => {
                tracing::error!(error = chain(error.as_ref()), "internal error");
                Problem::internal()
            }
        }
    }
}

/// An order's problem carries `orderId`: the order exists, and it is rejected.
fn withdrawal_problem(refusal: Refusal, order: Option<OrderId>) -> Problem {
    let problem = match refusal {
        Refusal::InsufficientFunds => {
            Problem::new(StatusCode::PRECONDITION_FAILED, "insufficient-funds", "Not enough money")
                .detail("The account does not hold this amount. Nothing was withdrawn.")
        }
        Refusal::AccountNotFound => {
            Problem::new(StatusCode::NOT_FOUND, "account-not-found", "No such account")
                .detail("There is no such user, hence no account.")
        }
        Refusal::SoldOut => Problem::new(StatusCode::CONFLICT, "sold-out", "Sold out")
            .detail("No seat is free at this event. Nothing was withdrawn."),
        Refusal::EventNotFound => Problem::new(StatusCode::NOT_FOUND, "event-not-found", "No such event")
            .detail("There is no such event. Nothing was withdrawn."),
        Refusal::Cancelled => Problem::new(StatusCode::CONFLICT, "cancelled", "Cancelled")
            .detail("The order was cancelled. What was withdrawn for it is refunded."),
        Refusal::TimedOut => Problem::new(StatusCode::CONFLICT, "timed-out", "Not decided in time")
            .detail("The order was not decided in time. What was withdrawn for it is refunded."),
    };
    match order {
        Some(order) => problem.with("orderId", Value::from(order.0)),
        None => problem,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        if error.is_unavailable() {
            tracing::warn!(error = chain(&error), "database not available");
            return Self::Unavailable("The service's database is not available.".to_owned());
        }
        Self::Internal(Box::new(error))
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl From<PeerError> for ApiError {
    fn from(error: PeerError) -> Self {
        tracing::warn!(%error, "peer not available");
        Self::Unavailable(match &error {
            PeerError::Unreachable { peer, .. } => {
                format!("The {peer} service cannot be reached. Nothing was done; try again.")
            }
            PeerError::Unanswered { peer, .. } => format!(
                "The {peer} service did not answer, so the outcome is unknown. Repeat the request with the same \
                 Idempotency-Key."
            ),
        })
    }
}

impl From<WithdrawError> for ApiError {
    fn from(error: WithdrawError) -> Self {
        match error {
            WithdrawError::OrderAlreadyCharged(order) => Self::OrderAlreadyCharged(order),
            WithdrawError::OtherMoney(_) => Self::KeyReused,
            WithdrawError::Store(error) => error.into(),
        }
    }
}

impl From<DepositRefusal> for ApiError {
    fn from(refusal: DepositRefusal) -> Self {
        match refusal {
            DepositRefusal::AccountNotFound => Self::Withdrawal(Refusal::AccountNotFound, None),
            DepositRefusal::BalanceOverflow => Self::BalanceOverflow,
        }
    }
}

impl From<UpdateRefusal> for ApiError {
    fn from(refusal: UpdateRefusal) -> Self {
        match refusal {
            UpdateRefusal::NotFound => Self::NotFound("user"),
            UpdateRefusal::OtherVersion => Self::OtherVersion,
            UpdateRefusal::EmailTaken => Self::EmailTaken,
        }
    }
}
