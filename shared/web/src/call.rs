//! One call of another service, and what comes of it.

use std::time::Duration;

use axum::body::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::Problem;

/// Whether a call may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Reading, or carrying an idempotency key; and no service further down the path retries.
    Yes,
    /// Anything else.
    No,
}

/// A call that is being put together.
#[derive(Clone, Debug)]
pub struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    pub(crate) retry: Retry,
    pub(crate) timeout: Option<Duration>,
}

impl Call {
    /// `method path`, not repeated.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        let headers = HeaderMap::new();
        Self { method, path: path.into(), headers, body: None, retry: Retry::No, timeout: None }
    }

    /// `GET path`, repeated if need be.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path).retry(Retry::Yes)
    }

    /// `POST path` with a JSON body, not repeated.
    pub fn post(path: impl Into<String>, body: &impl serde::Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("request types serialize");
        Self::new(Method::POST, path)
            .header(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(body.into())
    }

    /// Adds a body.
    #[must_use]
    pub fn body(mut self, body: Bytes) -> Self {
        self.body = Some(body);
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Adds a header that may be there already: all of its lines count.
    #[must_use]
    pub fn header_line(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Says whether it may be repeated.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Waits longer, or shorter, than the usual call does; never past the request's deadline.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// There is no answer, or (from [`Peer::ask`](crate::Peer::ask)) one that only says that the peer failed.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The request did not reach the peer: nothing happened there.
    #[error("{peer} cannot be reached: {cause}")]
    Unreachable {
        /// The service.
        peer: &'static str,
        /// Why.
        cause: String,
    },
    /// The request was sent, and what the peer did with it is unknown.
    #[error("{peer} did not answer: {cause}")]
    Unanswered {
        /// The service.
        peer: &'static str,
        /// Why.
        cause: String,
    },
}

impl Answer {
    /// The `code` of the problem that the answer is.
    pub fn problem_code(&self) -> Option<String> {
        self.json::<Problem>().ok().map(|problem| problem.code.into_owned())
    }

    /// The body as `T`.
    ///
    /// # Errors
    /// When it is not one: the peer speaks another version of the contract.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }
}

impl PeerError {
    /// A word for it, as a value of labels and attributes.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Unanswered { .. } => "unanswered",
        }
    }

    /// Why, without the peer's name.
    pub fn cause(&self) -> &str {
        match self {
            Self::Unreachable { cause, .. } | Self::Unanswered { cause, .. } => cause,
        }
    }
}
