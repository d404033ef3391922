//! The messages of this style: fat events, which carry all that their consumers need.

use api::messages::{DepositError, UserCreationError};
use domain::{
    Amount, Balance, Money, OrderId, OrderStatus, RecordedUser, Refusal, Refused, Registration, UserId,
};
use messaging::{Message, Outgoing};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::StoreError;
use store::billing::User;

messaging::messages! {
    "users": UserCreationRequested, UserCreationSucceeded, UserCreationFailed, UserUpdated;
    "billing": DepositRequested, DepositProcessed, WithdrawalRequested, WithdrawalProcessed;
    "orders": OrderCreationRequested, OrderProcessed;
}

/// A user as others may know it: no password, and no balance, which would be stale after the next deposit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserInfo {
    /// Who.
    pub user_id: UserId,
    /// Name and profile. The topic keeps them for good, so they are read by no rule that came later.
    #[serde(flatten)]
    pub recorded: RecordedUser,
    /// Version of the profile, from 1.
    pub version: i64,
}

/// Somebody wants to register.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserCreationRequested {
    /// Name and profile.
    #[serde(flatten)]
    pub registration: Registration,
    /// Argon2id, as a PHC string. The password itself never leaves the gateway.
    pub password_hash: String,
}

/// A user is registered, and has an account that holds 0.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserCreationSucceeded {
    /// The user.
    pub user_info: UserInfo,
}

/// A user is not registered.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserCreationFailed {
    /// The user as requested.
    pub user_info: Registration,
    /// Why not.
    pub error: Refused<UserCreationError>,
}

/// A user has another profile.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserUpdated {
    /// The user from now on.
    pub user_info: UserInfo,
}

/// Somebody wants to put money on an account.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DepositRequested {
    /// Whose account.
    pub user_id: UserId,
    /// How much.
    pub money_amount: Money<Amount>,
}

/// The money is on the account, or it was refused.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DepositProcessed {
    /// Whose account.
    pub user_id: UserId,
    /// What it holds now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance: Option<Money<Balance>>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Refused<DepositError>>,
}

/// Somebody wants to order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderCreationRequested {
    /// Who.
    pub user_id: UserId,
    /// At which price.
    pub price: Money<Amount>,
}

/// An order waits for its money.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WithdrawalRequested {
    /// Whose account.
    pub user_id: UserId,
    /// Which order.
    pub order_id: OrderId,
    /// How much.
    pub price: Money<Amount>,
}

/// The money for an order was withdrawn, or it was refused.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WithdrawalProcessed {
    /// Whose account.
    pub user_id: UserId,
    /// Which order.
    pub order_id: OrderId,
    /// How much.
    pub price: Money<Amount>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Refused<Refusal>>,
}

/// An order is paid or rejected, for good.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderProcessed {
    /// Who ordered.
    pub user_id: UserId,
    /// Which order.
    pub order_id: OrderId,
    /// What it costs.
    pub price: Money<Amount>,
    /// `paid` or `rejected`.
    pub status: OrderStatus,
    /// Why it was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Refused<Refusal>>,
}

impl UserInfo {
    /// What others may know of a user.
    ///
    /// # Errors
    /// When a stored text is none that a user may have.
    pub(crate) fn of(user: &User) -> Result<Self, StoreError> {
        Ok(Self { user_id: user.id, recorded: user.recorded()?, version: user.version })
    }
}

/// A message about a user.
pub(crate) fn about_user(user: UserId, message: &impl Message) -> Outgoing {
    Outgoing::new(user, format_args!("user/{user}"), message)
}
