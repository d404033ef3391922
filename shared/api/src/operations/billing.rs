//! What billing does.

use std::future::ready;

use domain::{Balance, Operation, Profile, Refusal, RegistrationRefusal, RequestId, UserId};
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use sqlx::postgres::PgConnection;
use store::billing::{self, Deposit, DepositRefusal, Withdrawal};
use store::{Once, Pool, StoreError};

use crate::ApiError;
#[cfg(feature = "failpoints")]
use crate::mistake;
use crate::password::PasswordHasher;
use crate::types::{CreateUserRequest, FinishedRequest, User};

/// Registers a user and opens an account that holds 0.
///
/// # Errors
/// When the user name or the address is taken.
pub async fn create_user(
    pool: &Pool,
    passwords: &PasswordHasher,
    request: RequestId,
    asked: CreateUserRequest,
) -> Result<UserId, ApiError> {
    let (registration, password) = asked.into_parts();
    // Before the transaction: hashing takes longer than anything else here, and a connection is worth more than CPU.
    let password_hash = passwords.hash(password).await?;
    let outcome = pool.transaction(move |tx| {
        Box::pin(async move { billing::register(tx, request, &registration, &password_hash).await })
    });
    once(outcome.await?)?.map_err(ApiError::Registration)
}

/// A user with the balance of the user's account.
///
/// # Errors
/// When there is none.
pub async fn find_user(pool: &Pool, id: UserId) -> Result<User, ApiError> {
    let user = pool.run(move |conn| Box::pin(billing::find_user(conn, id))).await?;
    user.map(User::from).ok_or(ApiError::NotFound("user"))
}

/// Replaces a user's profile, if it has this version, and tells nobody.
///
/// # Errors
/// When there is no such user, the profile has another version, or the address is taken.
pub async fn update_profile(
    pool: &Pool,
    id: UserId,
    if_version: Option<i64>,
    profile: Profile,
) -> Result<User, ApiError> {
    update_profile_and(pool, id, if_version, profile, tell_nobody).await
}

fn tell_nobody<'c>(_: &'c mut PgConnection, _: &'c billing::User) -> BoxFuture<'c, Result<(), ApiError>> {
    Box::pin(ready(Ok(())))
}

/// As [`update_profile`], and in the same transaction has `tell` say so: when the user's row is locked, so that who is told is told in
/// the order of the versions.
///
/// # Errors
/// As [`update_profile`].
pub async fn update_profile_and<T>(
    pool: &Pool,
    id: UserId,
    if_version: Option<i64>,
    profile: Profile,
    tell: T,
) -> Result<User, ApiError>
where
    T: for<'c> FnOnce(&'c mut PgConnection, &'c billing::User) -> BoxFuture<'c, Result<(), ApiError>>
        + Send
        + 'static,
{
    let updated = pool.transaction(move |tx| {
        Box::pin(async move {
            #[cfg(feature = "failpoints")]
            if mistake::appends_before_it_locks() {
                return mistake::tell_and_update_profile(tx, id, &profile, tell).await;
            }
            let user = billing::update_profile(tx, id, &profile, if_version).await??;
            tell(tx, &user).await?;
            Ok::<_, ApiError>(user)
        })
    });
    updated.await.map(User::from)
}

/// Puts money on an account; what it holds then.
///
/// # Errors
/// When there is no such account, or it would hold too much.
pub async fn deposit(pool: &Pool, request: RequestId, deposit: Deposit) -> Result<Balance, ApiError> {
    let outcome = pool.transaction(move |tx| Box::pin(billing::deposit(tx, request, deposit)));
    Ok(once(outcome.await?)??)
}

/// Takes money from an account, if it is there; what it holds then.
///
/// # Errors
/// When there is no such account, or not enough money in it.
pub async fn withdraw(pool: &Pool, request: RequestId, withdrawal: Withdrawal) -> Result<Balance, ApiError> {
    // One statement, and so a transaction of its own.
    let outcome = pool.run(move |conn| {
        Box::pin(async move {
            fail::fail_point!("billing::withdrawal_received");
            let outcome = billing::withdraw(conn, request, withdrawal).await?;
            fail::fail_point!("billing::withdrawal_committed");
            fail::fail_point!("billing::reply_lost", |_| Err(ApiError::Unavailable(
                "The reply was lost.".to_owned()
            )));
            Ok::<_, ApiError>(outcome)
        })
    });
    once(outcome.await?)?.map_err(|refusal| ApiError::Withdrawal(refusal, withdrawal.order_id))
}

/// How a request to billing ended; `None` if it has not, or was never sent.
///
/// # Errors
/// When the database fails.
pub async fn find_request(pool: &Pool, request_id: RequestId) -> Result<Option<FinishedRequest>, ApiError> {
    let found = pool.run(move |conn| Box::pin(billing::find_request(conn, request_id)));
    let Some(billing::FinishedRequest { operation, outcome }) = found.await? else { return Ok(None) };
    let mut finished = FinishedRequest { request_id, operation, user_id: None, balance: None, error: None };
    let (outcome, refused) = (outcome.0.clone(), outcome.0.get("Err").and_then(|code| code.as_str()));
    finished.error = refused.map(str::to_owned);
    if finished.operation == Operation::CreateUser.as_str() {
        finished.user_id = decode::<Result<UserId, RegistrationRefusal>>(outcome)?.ok();
    } else if finished.operation == Operation::Deposit.as_str() {
        finished.balance = decode::<Result<Balance, DepositRefusal>>(outcome)?.ok();
    } else {
        finished.balance = decode::<Result<Balance, Refusal>>(outcome)?.ok();
    }
    Ok(Some(finished))
}

fn decode<T: DeserializeOwned>(outcome: serde_json::Value) -> Result<T, ApiError> {
    serde_json::from_value(outcome).map_err(|error| StoreError::from(error).into())
}

/// The outcome of a request that may be a repeat: the same answer either way.
///
/// # Errors
/// When the key came with other content before.
pub fn once<T>(outcome: Once<T>) -> Result<T, ApiError> {
    match outcome {
        Once::Done(outcome) | Once::Repeated(outcome) => Ok(outcome),
        Once::Reused => Err(ApiError::KeyReused),
    }
}
