//! Why a message could not be handled, and whether it is worth another try.

use domain::TextError;
use messaging::HandlerError;
use store::StoreError;
use store::billing::WithdrawError;

/// Why a message could not be handled. A refusal is not among these: it is an outcome.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The database failed; most of the time it cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Billing's own table has a text that no user can have.
    #[error("a stored text of user {0}")]
    Corrupt(domain::UserId, #[source] TextError),
    /// The message contradicts what this service knows.
    #[error("{0}")]
    Impossible(String),
}

impl HandlerError for Failure {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_unavailable())
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl From<WithdrawError> for Failure {
    fn from(error: WithdrawError) -> Self {
        match error {
            WithdrawError::Store(error) => error.into(),
            error @ WithdrawError::OrderAlreadyCharged(_) => Self::Impossible(error.to_string()),
        }
    }
}
