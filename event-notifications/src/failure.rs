//! Why a message could not be handled, and whether it is worth another try.

use domain::OrderId;
use messaging::HandlerError;
use store::StoreError;
use store::billing::WithdrawError;
use web::PeerError;

/// Why a message could not be handled. A refusal is not among these: it is an outcome.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The database failed; most of the time it cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Whoever has to be asked is away.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// Whoever was asked said something else.
    #[error("{0}")]
    NoAnswer(String),
    /// The order service does not know yet what it has said.
    #[error("order {0} cannot be read yet")]
    NotYet(OrderId),
    /// The message contradicts what its owner or this service knows.
    #[error("{0}")]
    Impossible(String),
}

impl HandlerError for Failure {
    fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_unavailable(),
            Self::Peer(_) | Self::NoAnswer(_) | Self::NotYet(_) => true,
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
            error @ WithdrawError::OrderAlreadyCharged(_) => Self::Impossible(error.to_string()),
        }
    }
}
