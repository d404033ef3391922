//! The messages of this style: thin events, which say what happened to whom. Who needs more asks the owner.

use api::messages::{DepositError, UserCreationError};
use domain::{Amount, Money, OrderId, Refusal, Refused, Registration, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

messaging::messages! {
    "users": UserCreationRequested, UserCreationProcessed, UserUpdated;
    "billing": DepositRequested, DepositProcessed, WithdrawalRequested, WithdrawalProcessed;
    "orders": OrderCreationRequested, OrderProcessed;
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

/// A user is registered and has an account that holds 0, or was refused.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserCreationProcessed {
    /// The user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Refused<UserCreationError>>,
}

/// A user has another profile.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserUpdated {
    /// Who.
    pub user_id: UserId,
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
    /// Which order.
    pub order_id: OrderId,
}

/// The money for an order was withdrawn, or it was refused.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WithdrawalProcessed {
    /// Which order.
    pub order_id: OrderId,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Refused<Refusal>>,
}

/// An order is paid or rejected, for good.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderProcessed {
    /// Which order.
    pub order_id: OrderId,
}
