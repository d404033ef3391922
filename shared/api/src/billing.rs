//! Billing's routes that are the same in every style: reads, and the direct withdrawal. The profile update is here for its
//! document, and for the styles that tell nobody about it.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::MethodRouter;
use domain::{Profile, RequestId, UserId};
use http::{HeaderMap, StatusCode, header};
use store::Pool;
use store::billing::Withdrawal;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;
use web::{Json, Path};

use crate::docs::{
    BadRequest, Conflict, IfNoneMatchHeader, Internal, KeyReused, NotFound, NotModified, PreconditionFailed,
    TooLarge, Unavailable, handled_by,
};
use crate::operations::billing as operations;
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
    operations::find_user(&pool, id).await.map(with_etag)
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
    operations::update_profile(&pool, id, if_version, profile).await.map(with_etag)
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
    let balance = operations::withdraw(&pool, request, withdrawal).await?;
    Ok(axum::Json(AccountBalance { balance }))
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
    Ok(finished(operations::find_request(&pool, request_id).await?, request_id))
}

/// 200 with how a request ended; 202 while that is not known.
pub fn finished(finished: Option<FinishedRequest>, request_id: RequestId) -> Response {
    match finished {
        Some(finished) => axum::Json(finished).into_response(),
        None => not_known_yet(request_id),
    }
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

/// 202 for a request that has not ended, as far as is known here.
pub(crate) fn not_known_yet(request_id: RequestId) -> Response {
    (StatusCode::ACCEPTED, [(header::RETRY_AFTER, "1")], axum::Json(RequestAccepted { request_id }))
        .into_response()
}

/// 200 with the user. Two that differ have different `ETag`s: the version counts changes of the profile, and the balance changes
/// without it.
pub fn with_etag(user: User) -> Response {
    let etag = format!("\"{}-{}\"", user.version, user.balance.0);
    ([(header::ETAG, etag)], axum::Json(user)).into_response()
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
