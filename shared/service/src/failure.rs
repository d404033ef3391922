//! Why a message could not be handled, and whether it is worth another try.

use messaging::HandlerError;
use store::StoreError;
use store::billing::WithdrawError;
use store::order::DecisionError;
use store::ticket::TicketError;
use web::FindError;

/// Why a message could not be handled. A refusal is not among these: it is an outcome.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The database failed; most of the time it cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Whoever has to be asked is away, or is not the owner. That can be mended, so the message waits.
    #[error(transparent)]
    Find(#[from] FindError),
    /// The owner does not know yet what it has said.
    #[error("{0} cannot be read yet")]
    NotYet(String),
    /// The message contradicts what its owner or this service knows.
    #[error("{0}")]
    Impossible(String),
}

impl HandlerError for Failure {
    fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_unavailable(),
            Self::Find(_) | Self::NotYet(_) => true,
            Self::Impossible(_) => false,
        }
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
            error => Self::Impossible(error.to_string()),
        }
    }
}

impl From<TicketError> for Failure {
    fn from(error: TicketError) -> Self {
        match error {
            TicketError::Store(error) => error.into(),
            error => Self::Impossible(error.to_string()),
        }
    }
}

impl From<DecisionError> for Failure {
    fn from(error: DecisionError) -> Self {
        match error {
            DecisionError::Store(error) => error.into(),
            error => Self::Impossible(error.to_string()),
        }
    }
}
