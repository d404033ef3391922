//! Billing's routes that are the same in every style: reads, and the direct withdrawal. The profile update is here for its
//! document, and for the styles that tell nobody about it.

use std::future::ready;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::MethodRouter;
use domain::{Balance, Operation, Profile, Refusal, RegistrationRefusal, RequestId, UserId};
use futures_util::future::BoxFuture;
use http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use sqlx::postgres::PgConnection;
use store::billing::{self, DepositRefusal, Withdrawal};
use store::{Once, Pool, StoreError};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;
use web::{Json, Path};

use crate::docs::{
    BadRequest, Conflict, IfNoneMatchHeader, Internal, KeyReused, NotFound, NotModified, PreconditionFailed,
    TooLarge, Unavailable, handled_by,
};
#[cfg(feature = "failpoints")]
use crate::mistake;
use crate::types::{
    AccountBalance, FinishedRequest, OrderWithdrawRequest, RequestAccepted, User, UserCreated,
};
use crate::{ApiError, Deliverable, IdempotencyKey, IdempotencyKeyHeader, Prefer, prefer};

/// All of them but the profile update.
pub fn routes() -> OpenApiRouter<Pool> {
    OpenApiRouter::new().routes(routes!(get_user)).routes(routes!(withdraw)).routes(routes!(get_request))
}

/// The profile update, of a style that tells others about it.
pub fn profile_route<S>(update_profile: MethodRouter<S>) -> UtoipaMethodRouter<S> {
    let documented: UtoipaMethodRouter<Pool> = routes!(self::update_profile);
    handled_by(documented, update_profile)
}

/// A user with the balance of the user's account.
#[utoipa::path(get, path = "/billing/user/{userId}", tag = "billing",
    params(("userId" = inline(UserId), Path), IfNoneMatchHeader),
    responses((status = 200, description = "The user.", body = User,
            headers(("ETag" = String, description = "The profile's version, and what the account holds."))),
        NotModified, NotFound, Internal, Unavailable))]
pub async fn get_user(State(pool): State<Pool>, Path(id): Path<UserId>) -> Result<Response, ApiError> {
    let user = pool.run(move |conn| Box::pin(billing::find_user(conn, id))).await?;
    user.map(with_etag).ok_or(ApiError::NotFound("user"))
}

/// For OpenAPI.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "the fields exist for the document alone")]
pub struct IfMatchHeader {
    /// Replace only the profile of this version, bare, quoted, or as the user's `ETag`, of which only the version counts; `*` is
    /// any.
    // The example fits every user.
    #[param(
        rename = "If-Match",
        required = false,
        pattern = r#"^([0-9]+|"[0-9]+(-[0-9]+)?"|\*)$"#,
        example = "*"
    )]
    version: String,
}

/// Replaces a user's profile.
#[utoipa::path(put, path = "/billing/user/{userId}", tag = "billing",
    params(("userId" = inline(UserId), Path), IfMatchHeader),
    request_body = Profile,
    responses((status = 200, description = "The user, the profile's version one higher.", body = User,
            headers(("ETag" = String, description = "The profile's version, and what the account holds."))),
        BadRequest, NotFound, Conflict, PreconditionFailed, TooLarge, Internal, Unavailable))]
pub async fn update_profile(
    State(pool): State<Pool>,
    Path(id): Path<UserId>,
    headers: HeaderMap,
    Deliverable(profile): Deliverable<Profile>,
) -> Result<Response, ApiError> {
    let if_version = if_match(&headers)?;
    Ok(with_etag(update_profile_and(&pool, id, if_version, profile, tell_nobody).await?))
}

fn tell_nobody<'c>(_: &'c mut PgConnection, _: &'c billing::User) -> BoxFuture<'c, Result<(), ApiError>> {
    Box::pin(ready(Ok(())))
}

/// Replaces a user's profile and, in the same transaction, has `tell` say so: when the user's row is locked, so that who is told
/// is told in the order of the versions.
pub async fn update_profile_and<T>(
    pool: &Pool,
    id: UserId,
    if_version: Option<i64>,
    profile: Profile,
    tell: T,
) -> Result<billing::User, ApiError>
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
    updated.await
}

/// Takes money from an account, if it is there.
#[utoipa::path(post, path = "/billing/withdraw/{userId}", tag = "billing",
    params(("userId" = inline(UserId), Path), IdempotencyKeyHeader),
    request_body = OrderWithdrawRequest,
    responses((status = 200, description = "What the account holds now.", body = AccountBalance),
        BadRequest, NotFound, Conflict, PreconditionFailed, TooLarge, KeyReused, Internal, Unavailable))]
pub async fn withdraw(
    State(pool): State<Pool>,
    Path(user_id): Path<UserId>,
    key: IdempotencyKey,
    Json(request): Json<OrderWithdrawRequest>,
) -> Result<axum::Json<AccountBalance>, ApiError> {
    let OrderWithdrawRequest { amount, order_id } = request;
    let withdrawal = Withdrawal { user_id, amount, order_id };
    let request = key.request_id(withdrawal.operation());
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
    match once(outcome.await?)? {
        Ok(balance) => Ok(axum::Json(AccountBalance { balance })),
        Err(refusal) => Err(ApiError::Withdrawal(refusal, order_id)),
    }
}

/// How a request to billing ended: for requests that were answered with 202.
#[utoipa::path(get, path = "/billing/requests/{requestId}", tag = "billing",
    params(("requestId" = inline(RequestId), Path)),
    responses((status = 200, description = "It has ended, and so.", body = FinishedRequest),
        (status = 202, description = "It is on its way, or was never sent.", body = RequestAccepted,
            headers(("Retry-After" = u32, description = "When to ask again, in seconds."))),
        NotFound, Internal, Unavailable))]
pub async fn get_request(
    State(pool): State<Pool>,
    Path(request_id): Path<RequestId>,
) -> Result<Response, ApiError> {
    let found = pool.run(move |conn| Box::pin(billing::find_request(conn, request_id)));
    let Some(billing::FinishedRequest { operation, outcome }) = found.await? else {
        return Ok(not_known_yet(request_id));
    };
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
    Ok(axum::Json(finished).into_response())
}

/// 202: the request to billing cannot be lost, and this is where its outcome will be.
pub fn accepted(request_id: RequestId, prefer: &Prefer) -> Response {
    prefer::accepted(format!("/billing/requests/{request_id}"), request_id, prefer)
}

/// 201: a user was created, or had been by the same request.
pub fn user_created(user_id: UserId) -> Response {
    let location = [(header::LOCATION, format!("/billing/user/{user_id}"))];
    (StatusCode::CREATED, location, axum::Json(UserCreated { user_id })).into_response()
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

/// 202 for a request that has not ended, as far as is known here.
pub(crate) fn not_known_yet(request_id: RequestId) -> Response {
    (StatusCode::ACCEPTED, [(header::RETRY_AFTER, "1")], axum::Json(RequestAccepted { request_id }))
        .into_response()
}

/// 200 with the user. Two that differ have different `ETag`s: the version counts changes of the profile, and the balance changes
/// without it.
pub fn with_etag(user: billing::User) -> Response {
    let etag = format!("\"{}-{}\"", user.version, user.balance.0);
    ([(header::ETAG, etag)], axum::Json(User::from(user))).into_response()
}

/// The version of the profile that `If-Match` names: `3`, `"3"`, or an `ETag`, `"3-90"`. What the account held does not matter to
/// who replaces a profile. `*` matches any.
///
/// # Errors
/// When it is no version.
pub fn if_match(headers: &HeaderMap) -> Result<Option<i64>, ApiError> {
    let mut lines = headers.get_all(header::IF_MATCH).iter();
    let text = match (lines.next(), lines.next()) {
        (None, _) => return Ok(None),
        (Some(line), None) => line.to_str().unwrap_or_default().trim(),
        (Some(_), Some(_)) => return Err(ApiError::InvalidHeader("If-Match", "must be there once")),
    };
    if text == "*" {
        return Ok(None);
    }
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let version = match text.strip_prefix('"').map(|rest| rest.strip_suffix('"').unwrap_or_default()) {
        None => text,
        Some(quoted) => match quoted.split_once('-') {
            Some((version, balance)) if number(balance) => version,
            Some(_) => "",
            None => quoted,
        },
    };
    if !number(version) {
        return Err(ApiError::InvalidHeader(
            "If-Match",
            "must be a version such as \"3\", or the user's ETag",
        ));
    }
    // One that does not fit is one that no profile has.
    Ok(Some(version.parse().unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_version_is_named_bare_or_quoted_or_by_the_tag_of_the_user() {
        let named = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::IF_MATCH, HeaderValue::from_static(line));
            }
            if_match(&headers).ok()
        };
        assert_eq!(named(&[]), Some(None));
        assert_eq!(named(&["*"]), Some(None));
        for three in ["3", "\"3\"", " \"3-90\" ", "\"3-0\""] {
            assert_eq!(named(&[three]), Some(Some(3)), "{three}");
        }
        for bad in
            ["", "\"", "\"\"", "3-90", "\"-90\"", "\"3-\"", "\"3-x\"", "\"3-9-0\"", "W/\"3\"", "\"3\", \"4\""]
        {
            assert_eq!(named(&[bad]), None, "{bad}");
        }
        assert_eq!(named(&["\"3\"", "\"4\""]), None);
    }
}
