//! Refusals of requests that travel as messages: from what the tables say to a code in the message, and from there to the
//! answer. The same in every style that has messages.

use std::fmt::{self, Display};

use domain::{Balance, Codes, Refusal, RegistrationRefusal, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Once;
use store::billing::DepositRefusal;

use crate::ApiError;

/// Why a user was not created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "RegistrationRefusal")]
pub enum UserCreationError {
    /// Somebody has this username.
    UsernameTaken,
    /// Somebody has this email address.
    EmailTaken,
    /// The idempotency key came with other content before.
    IdempotencyKeyReused,
}

/// Why money was not put on an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "DepositRefusal")]
pub enum DepositError {
    /// There is no such user, hence no account.
    AccountNotFound,
    /// The balance would be larger than an account may hold.
    BalanceOverflow,
    /// The idempotency key came with other content before.
    IdempotencyKeyReused,
}

impl Codes for UserCreationError {
    const REFUSED: &'static str = "RegistrationRefused";
}

impl Codes for DepositError {
    const REFUSED: &'static str = "DepositRefused";
}

impl From<RegistrationRefusal> for UserCreationError {
    fn from(refusal: RegistrationRefusal) -> Self {
        match refusal {
            RegistrationRefusal::UsernameTaken => Self::UsernameTaken,
            RegistrationRefusal::EmailTaken => Self::EmailTaken,
        }
    }
}

impl UserCreationError {
    /// What a registration that may be a repeat led to.
    pub fn of(outcome: &Once<Result<UserId, RegistrationRefusal>>) -> Result<UserId, Self> {
        match outcome {
            Once::Done(outcome) | Once::Repeated(outcome) => (*outcome).map_err(Self::from),
            Once::Reused => Err(Self::IdempotencyKeyReused),
        }
    }
}

impl DepositError {
    /// What a deposit that may be a repeat led to: what the account holds then.
    pub fn of(outcome: &Once<Result<Balance, DepositRefusal>>) -> Result<Balance, Self> {
        match outcome {
            Once::Done(outcome) | Once::Repeated(outcome) => (*outcome).map_err(Self::from),
            Once::Reused => Err(Self::IdempotencyKeyReused),
        }
    }
}

impl From<UserCreationError> for ApiError {
    fn from(error: UserCreationError) -> Self {
        match error {
            UserCreationError::UsernameTaken => Self::Registration(RegistrationRefusal::UsernameTaken),
            UserCreationError::EmailTaken => Self::Registration(RegistrationRefusal::EmailTaken),
            UserCreationError::IdempotencyKeyReused => Self::KeyReused,
        }
    }
}

impl From<DepositRefusal> for DepositError {
    fn from(refusal: DepositRefusal) -> Self {
        match refusal {
            DepositRefusal::AccountNotFound => Self::AccountNotFound,
            DepositRefusal::BalanceOverflow => Self::BalanceOverflow,
        }
    }
}

impl From<DepositError> for ApiError {
    fn from(error: DepositError) -> Self {
        match error {
            DepositError::AccountNotFound => Self::Withdrawal(Refusal::AccountNotFound, None),
            DepositError::BalanceOverflow => Self::BalanceOverflow,
            DepositError::IdempotencyKeyReused => Self::KeyReused,
        }
    }
}

impl Display for UserCreationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UsernameTaken => "Somebody else has this username.",
            Self::EmailTaken => "Somebody else has this email address.",
            Self::IdempotencyKeyReused => "This request came with other content before.",
        })
    }
}

impl Display for DepositError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AccountNotFound => "There is no such user, hence no account.",
            Self::BalanceOverflow => "A balance may be at most 90071992547409.91.",
            Self::IdempotencyKeyReused => "This request came with other content before.",
        })
    }
}
