//! The HTTP client of a service: one [`Peer`] per service it calls, behind a [`Guard`].

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use opentelemetry::propagation::Injector;
use tokio::time::{Instant, timeout};
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use url::{Position, Url};

use crate::breaker::GuardMetrics;
use crate::context::{DEADLINE_MS, REQUEST_ID};
use crate::guard::{Attempt, Guard, Terms};
use crate::settings::ClientSettings;
use crate::{Answer, Call, PeerError, RequestContext, spans};

/// How long a connection is kept for the next call.
const POOL_IDLE_MAX: Duration = Duration::from_secs(15);
/// How long a peer may take to say that it is there.
const PROBE_MAX: Duration = Duration::from_secs(1);

/// What a peer's guard calls its metrics.
const METRICS: GuardMetrics = GuardMetrics {
    retries: "http_client_retries_total",
    breaker_state: "http_client_breaker_state",
    breaker_rejections: "http_client_breaker_rejections_total",
};

/// Builds clients that share one connection pool.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    settings: ClientSettings,
}

impl Client {
    /// A client with `settings`.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub fn new(settings: ClientSettings) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_millis(settings.connect_timeout_ms))
            // Shorter than a server keeps an idle connection (`HEAD_TIMEOUT_MS`): otherwise a request could meet its end.
            .pool_idle_timeout(POOL_IDLE_MAX)
            .pool_max_idle_per_host(settings.outstanding_max)
            .tcp_nodelay(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { http, settings })
    }

    /// The service `name` at `base`. Hold on to it: breaker, bound and budget belong to it.
    pub fn peer(&self, name: &'static str, base: Url) -> Peer {
        Peer(Arc::new(Inner {
            name,
            base,
            http: self.http.clone(),
            guard: Guard::new(name, &self.settings, METRICS),
        }))
    }
}

/// Another service, as seen from this one.
#[derive(Clone)]
pub struct Peer(Arc<Inner>);

struct Inner {
    name: &'static str,
    base: Url,
    http: reqwest::Client,
    guard: Guard,
}

impl Peer {
    /// The service's name.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// Whether the peer's process answers: for `/ready`. Passes by breaker and budget.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub async fn probe(&self) -> Result<(), String> {
        match self.measured(&Call::get("/health"), PROBE_MAX).await {
            Ok(Ok(answer)) if answer.status.is_success() => Ok(()),
            Ok(Ok(answer)) => Err(format!("answered {}", answer.status)),
            Ok(Err(error)) | Err(error) => Err(error.to_string()),
        }
    }

    /// Makes `call`, for a caller that needs the peer to have done it: an answer of 500 or above is an error.
    ///
    /// # Errors
    /// As [`Peer::send`]; a 5xx counts as [`PeerError::Unanswered`], since it does not say what was done.
    pub fn ask(&self, call: Call) -> BoxFuture<'_, Result<Answer, PeerError>> {
        Box::pin(async move {
            let answer = self.send_guarded(call).await?;
            if answer.status.is_server_error() {
                return Err(self.unanswered(format!("it answered {}", answer.status)));
            }
            Ok(answer)
        })
    }

    /// Makes `call`. Ends before the current request's deadline.
    ///
    /// # Errors
    /// When there is no answer. [`PeerError::Unreachable`] promises that no attempt reached the peer.
    pub fn send(&self, call: Call) -> BoxFuture<'_, Result<Answer, PeerError>> {
        Box::pin(self.send_guarded(call))
    }

    async fn send_guarded(&self, call: Call) -> Result<Answer, PeerError> {
        let terms = Terms { retry: call.retry, timeout: call.timeout };
        let is_there = || -> BoxFuture<'static, bool> {
            let peer = self.clone();
            Box::pin(async move { peer.probe().await.is_ok() })
        };
        self.0.guard.call(terms, |limit| self.attempt(&call, limit), is_there).await
    }

    async fn attempt(&self, call: &Call, limit: Duration) -> Attempt<Answer> {
        match self.measured(call, limit).await {
            Ok(Ok(answer)) if is_transient(answer.status) => Attempt::ComeAgain(answer),
            Ok(Ok(answer)) if answer.status == StatusCode::INTERNAL_SERVER_ERROR => Attempt::Broken(answer),
            Ok(Ok(answer)) => Attempt::Answered(answer),
            Ok(Err(PeerError::Unreachable { cause, .. })) => Attempt::Unreachable(cause),
            Ok(Err(PeerError::Unanswered { cause, .. })) => Attempt::Lost(cause),
            Err(given_up) => Attempt::TimedOut(given_up.cause().to_owned()),
        }
    }

    /// One exchange, as metrics and spans show it. The outer error says that it was given up after `limit`.
    async fn measured(&self, call: &Call, limit: Duration) -> Result<Result<Answer, PeerError>, PeerError> {
        let span = spans::client(call, self.0.name, &self.0.base);
        let started = Instant::now();
        let outcome = timeout(limit, self.exchange(call, limit).instrument(span.clone())).await;
        let outcome = outcome.map_err(|_| self.unanswered(format!("no answer within {limit:?}")));
        let known = outcome.as_ref().and_then(Result::as_ref);
        spans::record_outcome(&span, known);
        let status = match known {
            Ok(answer) => answer.status.as_str().to_owned(),
            Err(error) => error.kind().to_owned(),
        };
        metrics::histogram!("http_client_request_duration_seconds",
            "peer" => self.0.name, "method" => call.method.to_string(), "status" => status)
        .record(started.elapsed());
        outcome
    }

    async fn exchange(&self, call: &Call, limit: Duration) -> Result<Answer, PeerError> {
        let url = self.0.base.join(&call.path).map_err(|error| self.unreachable(error.to_string()))?;
        // `..` and `\\` in a path would lead to another one than the caller wrote.
        if url.path() != call.path.split('?').next().unwrap_or_default() {
            return Err(self.unreachable("the path is not in its normal form"));
        }
        let mut headers = call.headers.clone();
        // The client library would write these two itself; here they are counted too.
        if let Ok(host) = HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort]) {
            headers.insert(header::HOST, host);
        }
        headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        let context = RequestContext::current();
        if let Ok(id) = HeaderValue::from_str(&context.id) {
            headers.insert(REQUEST_ID, id);
        }
        let left_ms = u64::try_from(Guard::left_for_the_peer(limit).as_millis()).unwrap_or(u64::MAX);
        headers.insert(DEADLINE_MS, HeaderValue::from(left_ms));
        let span = Span::current();
        opentelemetry::global::get_text_map_propagator(|w3c| {
            w3c.inject_context(&span.context(), &mut Headers(&mut headers));
        });
        spans::record_request(&span, call, &url[Position::BeforePath..Position::AfterQuery], &headers);

        let mut request = self.0.http.request(call.method.clone(), url).headers(headers);
        if let Some(body) = &call.body {
            request = request.body(body.clone());
        }
        let response = request.send().await.map_err(|error| {
            if error.is_connect() {
                self.unreachable(root_cause(&error))
            } else {
                self.unanswered(root_cause(&error))
            }
        })?;
        let (status, headers) = (response.status(), response.headers().clone());
        // The whole request was there when the call began: that it did not get through is no fault of our own client's.
        if status == StatusCode::REQUEST_TIMEOUT {
            return Err(self.unreachable("it did not get the request in time"));
        }
        let body = response.bytes().await.map_err(|error| self.unanswered(root_cause(&error)))?;
        Ok(Answer { status, headers, body })
    }

    fn unreachable(&self, cause: impl Into<String>) -> PeerError {
        PeerError::Unreachable { peer: self.0.name, cause: cause.into() }
    }

    fn unanswered(&self, cause: impl Into<String>) -> PeerError {
        PeerError::Unanswered { peer: self.0.name, cause: cause.into() }
    }
}

/// Statuses that may pass: the next try may get another answer.
fn is_transient(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
}

/// The innermost error says what happened (`Connection refused`); the outer ones say only that something did.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// Writes the W3C trace context into HTTP headers.
struct Headers<'a>(&'a mut HeaderMap);

impl Injector for Headers<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}
