//! The `Prefer` header (RFC 7240): how long a client wants to wait for an outcome.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{FromRequestParts, Request};
use axum::response::{IntoResponse as _, Response};
use domain::RequestId;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use utoipa::IntoParams;

use crate::types::RequestAccepted;

/// Waits without the header.
const WAIT_DEFAULT: Duration = Duration::from_secs(5);
/// The longest wait a client may ask for.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// How long a request may take as a whole, if it is no order.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(3);
/// Time to answer after the wait is over.
const ANSWER_MARGIN: Duration = Duration::from_secs(1);

/// How long an order may take as a whole: as long as a client may wait, and be answered.
pub const LONGEST_DEADLINE: Duration = Duration::from_secs(WAIT_MAX.as_secs() + ANSWER_MARGIN.as_secs());

/// For OpenAPI.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "the fields exist for the document alone")]
pub struct PreferHeader {
    /// `wait=N`: answer within N seconds (5 without, at most 30), with 202 when the outcome is not known by then.
    /// `respond-async`: answer 202 as soon as the request cannot be lost.
    #[param(rename = "Prefer", required = false, example = "wait=5")]
    prefer: String,
}

/// What the client prefers. What is not understood is ignored, as RFC 7240 asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefer {
    /// Do not wait for the outcome.
    pub respond_async: bool,
    /// How long to wait for it otherwise, where the client says so.
    wait: Option<Duration>,
}

impl Prefer {
    /// What a caller prefers who says it in another way than by the header; a `wait` above 30 s counts as 30 s.
    pub fn new(wait: Option<Duration>, respond_async: bool) -> Self {
        Self { respond_async, wait: wait.map(|wait| wait.min(WAIT_MAX)) }
    }

    /// How long to wait for the outcome.
    pub fn wait(&self) -> Duration {
        self.wait.unwrap_or(WAIT_DEFAULT)
    }

    /// How long a request that waits so may take as a whole.
    pub fn deadline(&self) -> Duration {
        self.wait() + ANSWER_MARGIN
    }

    /// What of it an answer without the outcome has heeded: nothing where the client prefers nothing.
    fn applied(&self) -> Option<String> {
        match self {
            Self { respond_async: true, .. } => Some("respond-async".to_owned()),
            Self { wait, .. } => wait.map(|wait| format!("wait={}", wait.as_secs())),
        }
    }

    fn parse(headers: &HeaderMap) -> Self {
        let (mut wait, mut respond_async) = (None, false);
        let lines = headers.get_all("prefer").iter().filter_map(|line| line.to_str().ok());
        for preference in lines.flat_map(|line| line.split(',')) {
            // Parameters after `;` refine a preference; these have none.
            let preference = preference.split(';').next().unwrap_or_default();
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            match (name.trim().to_ascii_lowercase().as_str(), value.trim().trim_matches('"').parse()) {
                ("respond-async", _) => respond_async = true,
                ("wait", Ok(seconds)) => wait = Some(Duration::from_secs(seconds)),
                _ => {}
            }
        }
        Self::new(wait, respond_async)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Prefer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::parse(&parts.headers))
    }
}

/// How long a request may take as a whole: 3 s, but an order as long as its client waits, with a ticket or without.
pub fn request_deadline(request: &Request) -> Duration {
    if request.method() == Method::POST && matches!(request.uri().path(), "/orders" | "/bookings") {
        Prefer::parse(request.headers()).deadline()
    } else {
        REQUEST_DEADLINE
    }
}

/// As [`request_deadline`], at a gateway where creating a user and depositing travel as messages, and wait like an order.
pub fn messages_deadline(request: &Request) -> Duration {
    let path = request.uri().path();
    let waits = path == "/billing/user" || path.starts_with("/billing/deposit/");
    if request.method() == Method::POST && waits {
        Prefer::parse(request.headers()).deadline()
    } else {
        request_deadline(request)
    }
}

/// 202: the request cannot be lost, and `location` is where its outcome will be.
pub(crate) fn accepted(location: String, request_id: RequestId, prefer: &Prefer) -> Response {
    let headers = [(header::LOCATION, location), (header::RETRY_AFTER, "1".to_owned())];
    let applied = prefer.applied().map(|applied| [(HeaderName::from_static("preference-applied"), applied)]);
    (StatusCode::ACCEPTED, headers, applied, axum::Json(RequestAccepted { request_id })).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(lines: &[&'static str]) -> Prefer {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("prefer", http::HeaderValue::from_static(line));
        }
        Prefer::parse(&headers)
    }

    #[test]
    fn a_client_may_wait_5_seconds_or_as_long_as_it_says_up_to_30() {
        assert_eq!(parse(&[]).wait(), Duration::from_secs(5));
        assert_eq!(parse(&["wait=10"]).wait(), Duration::from_secs(10));
        assert_eq!(parse(&["Wait = \"2\""]).wait(), Duration::from_secs(2));
        assert_eq!(parse(&["wait=3600"]).wait(), Duration::from_secs(30));
    }

    #[test]
    fn preferences_come_in_any_order_and_unknown_ones_are_ignored() {
        let prefer = parse(&["handling=lenient, respond-async", "wait=1; x=y"]);
        assert_eq!(prefer, Prefer { respond_async: true, wait: Some(Duration::from_secs(1)) });
        assert_eq!(parse(&["wait=soon, respond"]), parse(&[]));
    }

    #[test]
    fn only_what_a_client_prefers_is_said_to_be_applied() {
        let applied = |lines| parse(lines).applied();
        assert_eq!(applied(&[]), None);
        assert_eq!(applied(&["handling=lenient"]), None);
        assert_eq!(applied(&["wait=3600"]).as_deref(), Some("wait=30"));
        assert_eq!(applied(&["wait=1, respond-async"]).as_deref(), Some("respond-async"));
    }
}
