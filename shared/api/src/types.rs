//! What goes over HTTP, in camelCase. A request type accepts only what is valid: parse, don't validate.

use chrono::{DateTime, Utc};
use domain::{
    Amount, Balance, EmailAddress, EmailId, Line, OrderId, OrderStatus, Profile, Prose, Recorded, Refusal,
    Registration, RequestId, UserId, Username,
};
use serde::{Deserialize, Serialize};
use store::{billing, notification, order};
use utoipa::ToSchema;

use crate::password::Password;

/// `POST /billing/user`
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(examples(json!({"username": "ann", "password": "correct horse battery staple", "email": "ann@example.org"})))]
pub struct CreateUserRequest {
    /// A name of RFC 8265 (`UsernameCaseMapped`): letters and digits of any script and ASCII punctuation, without spaces. Kept
    /// and shown in lower case and in Unicode's normalization form C; unique; never changes.
    #[schema(inline)]
    pub username: Username,
    /// Stored as an Argon2id hash only.
    #[schema(inline)]
    pub password: Password,
    /// Where emails about orders go. Unique without regard to case. The domain may be international; before the `@` only
    /// ASCII, unless the installation's SMTP server speaks SMTPUTF8.
    #[schema(inline)]
    pub email: EmailAddress,
    /// Given name.
    #[schema(inline)]
    pub first_name: Option<Line<0, 100>>,
    /// Family name.
    #[schema(inline)]
    pub last_name: Option<Line<0, 100>>,
    /// Phone number, as the user writes it.
    #[schema(inline)]
    pub phone: Option<Line<0, 50>>,
}

impl CreateUserRequest {
    /// The request in two parts: what may be stored and compared, and what may only be hashed.
    pub fn into_parts(self) -> (Registration, Password) {
        let Self { username, password, email, first_name, last_name, phone } = self;
        (Registration { username, profile: Profile { first_name, last_name, email, phone } }, password)
    }
}

/// A user was created.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserCreated {
    /// The new user, and the account that was opened with 0.
    #[schema(inline)]
    pub user_id: UserId,
}

/// A user and what the account holds.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Who.
    #[schema(inline)]
    pub id: UserId,
    /// As it is kept: in lower case. Never changes.
    pub username: String,
    /// Given name.
    #[schema(required)]
    pub first_name: Option<String>,
    /// Family name.
    #[schema(required)]
    pub last_name: Option<String>,
    /// Where emails go. An international domain is shown in its own script; over the wire go its A-labels.
    pub email: String,
    /// Phone number.
    #[schema(required)]
    pub phone: Option<String>,
    /// What the account holds, in minor units.
    #[schema(inline)]
    pub balance: Balance,
    /// Version of the profile, from 1.
    pub version: i64,
}

impl From<billing::User> for User {
    fn from(user: billing::User) -> Self {
        let billing::User { id, username, first_name, last_name, email, phone, balance, version } = user;
        Self { id, username, first_name, last_name, email, phone, balance, version }
    }
}

/// `POST /billing/deposit/{userId}`
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct DepositRequest {
    /// Minor units.
    #[schema(inline)]
    pub amount: Amount,
}

/// `POST /billing/withdraw/{userId}` at the gateway.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct WithdrawRequest {
    /// Minor units.
    #[schema(inline)]
    pub amount: Amount,
}

/// `POST /billing/withdraw/{userId}` at billing itself.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderWithdrawRequest {
    /// Minor units.
    #[schema(inline)]
    pub amount: Amount,
    /// The order that is paid with it; an order is charged at most once.
    #[schema(inline)]
    pub order_id: Option<OrderId>,
}

/// What an account holds now.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct AccountBalance {
    /// Minor units.
    #[schema(inline)]
    pub balance: Balance,
}

/// `POST /orders`
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateOrderRequest {
    /// Who orders.
    #[schema(inline)]
    pub user_id: UserId,
    /// Minor units.
    #[schema(inline)]
    pub price: Amount,
}

/// An order was created and paid.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderCreated {
    /// The new order.
    #[schema(inline)]
    pub order_id: OrderId,
}

/// The outcome is not known yet; `Location` says where it will be.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestAccepted {
    /// The request.
    #[schema(inline)]
    pub request_id: RequestId,
}

/// An order.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Which.
    #[schema(inline)]
    pub id: OrderId,
    /// Who ordered.
    #[schema(inline)]
    pub user_id: UserId,
    /// Minor units.
    #[schema(inline)]
    pub price: Amount,
    /// Where it stands.
    #[schema(inline)]
    pub status: OrderStatus,
    /// Why it was rejected; null unless it was.
    #[schema(inline, required)]
    pub reason: Option<Refusal>,
    /// Number of states it has been in.
    pub version: i64,
    /// When it was stored.
    pub created_at: DateTime<Utc>,
    /// When it changed last.
    pub updated_at: DateTime<Utc>,
}

impl From<order::Order> for Order {
    fn from(order: order::Order) -> Self {
        let order::Order { id, user_id, price, status, reason, version, created_at, updated_at, .. } = order;
        Self { id, user_id, price, status, reason, version, created_at, updated_at }
    }
}

/// `POST /notification/email/{userId}` at the gateway.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(examples(json!({"email": "ann@example.org", "title": "Hello", "message": "How are you?"})))]
pub struct SendEmailRequest {
    /// Where it goes. The domain may be international; before the `@` only ASCII, unless the installation's SMTP server speaks
    /// SMTPUTF8.
    #[schema(inline)]
    pub email: EmailAddress,
    /// The subject.
    #[schema(inline)]
    pub title: Line<1, 200>,
    /// The text.
    #[schema(inline)]
    pub message: Prose<1, 10_000>,
}

/// `POST /notification/email/{userId}` at the notification service itself.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(examples(json!({"email": "ann@example.org", "title": "Order is paid", "message": "It is on its way.", "orderId": 1})))]
pub struct OrderEmailRequest {
    /// Where it goes: an address as the gateway accepts it. With an `orderId`, as billing has it.
    #[schema(inline)]
    pub email: Recorded<254>,
    /// The subject.
    #[schema(inline)]
    pub title: Line<1, 200>,
    /// The text.
    #[schema(inline)]
    pub message: Prose<1, 10_000>,
    /// The order whose end it tells; an order gets one email.
    #[schema(inline)]
    pub order_id: Option<OrderId>,
}

/// An email was stored and will be sent.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmailAccepted {
    /// The new email.
    #[schema(inline)]
    pub email_id: EmailId,
}

/// An email.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Email {
    /// Which.
    #[schema(inline)]
    pub id: EmailId,
    /// Where it goes.
    pub email: String,
    /// The subject.
    pub title: String,
    /// The text.
    pub message: String,
    /// How far it has come.
    #[schema(inline, value_type = EmailStatus)]
    pub status: String,
    /// The order it tells about; null unless it tells about one.
    #[schema(inline, required)]
    pub order_id: Option<OrderId>,
    /// When it was stored.
    pub created_at: DateTime<Utc>,
}

/// What the table allows. For OpenAPI.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
#[allow(dead_code, reason = "exists for the document alone")]
enum EmailStatus {
    Pending,
    Sending,
    Sent,
    Failed,
}

impl From<notification::Email> for Email {
    fn from(email: notification::Email) -> Self {
        let notification::Email { id, email, title, message, status, order_id, created_at, .. } = email;
        Self { id, email, title, message, status, order_id, created_at }
    }
}

/// How a request to billing ended.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FinishedRequest {
    /// The request.
    #[schema(inline)]
    pub request_id: RequestId,
    /// What was asked. `pay-order` is the withdrawal that an order asks for.
    #[schema(inline, value_type = BillingOperation)]
    pub operation: String,
    /// The user that was created.
    #[schema(inline, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// What the account held afterwards.
    #[schema(inline, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance: Option<Balance>,
    /// The code of the refusal, such as `username-taken`; absent on success.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Those of [`domain::Operation`] that billing remembers. For OpenAPI.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
#[allow(dead_code, reason = "exists for the document alone")]
enum BillingOperation {
    CreateUser,
    Deposit,
    Withdraw,
    PayOrder,
}
