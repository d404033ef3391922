//! Billing's messages.

use api::types;
use domain::{Balance, OrderId, Profile as ValidProfile, RequestId, UserId};
use rpc::Refusal;
use store::billing::{Deposit, Withdrawal};

use crate::fields::{parse, parse_optional};
use crate::refusals::invalid;

pub use crate::proto::billing::v1::*;
use finished_request::{Operation, Outcome};

impl From<&ValidProfile> for Profile {
    fn from(profile: &ValidProfile) -> Self {
        let ValidProfile { first_name, last_name, email, phone } = profile.clone();
        Self {
            first_name: first_name.map(String::from),
            last_name: last_name.map(String::from),
            email: email.into(),
            phone: phone.map(String::from),
        }
    }
}

/// The profile in a request.
pub fn profile(profile: Option<Profile>) -> Result<ValidProfile, Refusal> {
    let Profile { first_name, last_name, email, phone } =
        profile.ok_or_else(|| invalid("profile", "must be there"))?;
    Ok(ValidProfile {
        first_name: parse_optional("profile.first_name", first_name)?,
        last_name: parse_optional("profile.last_name", last_name)?,
        email: parse("profile.email", email)?,
        phone: parse_optional("profile.phone", phone)?,
    })
}

impl CreateUserRequest {
    /// What a gateway asks with.
    pub fn of(request: RequestId, asked: types::CreateUserRequest) -> Self {
        let (registration, password) = asked.into_parts();
        Self {
            request_id: request.to_string(),
            username: registration.username.into(),
            password: password.for_billing(),
            profile: Some((&registration.profile).into()),
        }
    }

    /// What it asks for, if that is valid.
    pub fn asked(self) -> Result<types::CreateUserRequest, Refusal> {
        let ValidProfile { first_name, last_name, email, phone } = profile(self.profile)?;
        Ok(types::CreateUserRequest {
            username: parse("username", self.username)?,
            password: parse("password", self.password)?,
            email,
            first_name,
            last_name,
            phone,
        })
    }
}

impl From<types::User> for User {
    fn from(user: types::User) -> Self {
        let types::User { id, username, first_name, last_name, email, phone, balance, version } = user;
        let profile = Some(Profile { first_name, last_name, email, phone });
        Self { id: id.0, username, profile, balance_minor: balance.0, version }
    }
}

/// The user in a response.
pub fn user(user: Option<User>) -> Result<types::User, String> {
    let User { id, username, profile, balance_minor, version } = user.ok_or("there is no user")?;
    let Profile { first_name, last_name, email, phone } = profile.ok_or("the user has no profile")?;
    let balance = balance(balance_minor)?;
    Ok(types::User { id: UserId(id), username, first_name, last_name, email, phone, balance, version })
}

/// The balance in a response.
pub fn balance(minor: i64) -> Result<Balance, String> {
    minor.try_into().map_err(|error: domain::AmountError| format!("balance_minor {error}"))
}

impl DepositRequest {
    /// What it asks for, if that is valid.
    pub fn asked(&self) -> Result<Deposit, Refusal> {
        Ok(Deposit { user_id: UserId(self.user_id), amount: parse("amount_minor", self.amount_minor)? })
    }
}

impl WithdrawRequest {
    /// What it asks for, if that is valid.
    pub fn asked(&self) -> Result<Withdrawal, Refusal> {
        Ok(Withdrawal {
            user_id: UserId(self.user_id),
            amount: parse("amount_minor", self.amount_minor)?,
            order_id: self.order_id.map(OrderId),
        })
    }
}

/// Each operation that billing remembers, in words of both sides.
const OPERATIONS: [(domain::Operation, Operation); 4] = [
    (domain::Operation::CreateUser, Operation::CreateUser),
    (domain::Operation::Deposit, Operation::Deposit),
    (domain::Operation::Withdraw, Operation::Withdraw),
    (domain::Operation::PayOrder, Operation::PayOrder),
];

impl From<types::FinishedRequest> for FinishedRequest {
    fn from(finished: types::FinishedRequest) -> Self {
        let types::FinishedRequest { request_id, operation, user_id, balance, error } = finished;
        let operation = OPERATIONS.iter().find(|row| row.0.as_str() == operation);
        let outcome = error
            .map(Outcome::RefusalReason)
            .or(user_id.map(|user| Outcome::UserId(user.0)))
            .or(balance.map(|balance| Outcome::BalanceMinor(balance.0)));
        Self {
            request_id: request_id.to_string(),
            operation: operation.map_or(Operation::Unspecified, |row| row.1).into(),
            outcome,
        }
    }
}

/// The finished request in a response.
pub fn finished(finished: FinishedRequest) -> Result<types::FinishedRequest, String> {
    let asked = finished.operation();
    let operation = OPERATIONS.iter().find(|row| row.1 == asked).ok_or("an unknown operation")?;
    let request_id = finished.request_id.parse().map_err(|_| "request_id is no UUID")?;
    let mut told = types::FinishedRequest {
        request_id,
        operation: operation.0.as_str().to_owned(),
        user_id: None,
        balance: None,
        error: None,
    };
    match finished.outcome.ok_or("there is no outcome")? {
        Outcome::UserId(user) => told.user_id = Some(UserId(user)),
        Outcome::BalanceMinor(minor) => told.balance = Some(balance(minor)?),
        Outcome::RefusalReason(reason) => told.error = Some(reason),
    }
    Ok(told)
}
