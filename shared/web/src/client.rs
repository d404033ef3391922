//! The HTTP client of a service: one [`Peer`] per service it calls, with a deadline on every call, a bound on what is
//! outstanding, the one retrying layer on the path, and a circuit breaker.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use opentelemetry::propagation::Injector;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tower::retry::budget::{Budget as _, TpsBudget};
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use url::{Position, Url};

use crate::breaker::Breaker;
use crate::context::{DEADLINE_MS, REQUEST_ID};
use crate::{Answer, Call, PeerError, RequestContext, Retry, spans};

/// Settings of the calls to other services.
#[derive(Clone, Debug, Args)]
pub struct ClientSettings {
    /// How long a TCP connection to another service may take, in milliseconds.
    #[arg(long, env = "CONNECT_TIMEOUT_MS", default_value_t = 250)]
    pub connect_timeout_ms: u64,

    /// How long one attempt to call another service may take, in milliseconds.
    #[arg(long, env = "CALL_TIMEOUT_MS", default_value_t = 1000)]
    pub call_timeout_ms: u64,

    /// How many requests to one other service may be under way at the same time. Further ones wait, until their deadline.
    #[arg(long, env = "OUTSTANDING_MAX", default_value_t = 256)]
    pub outstanding_max: usize,
}

/// How long a connection is kept for the next call.
const POOL_IDLE_MAX: Duration = Duration::from_secs(15);
/// Attempts after the first, for calls that may be repeated.
const RETRIES_MAX: usize = 2;
/// The longest wait before the first of them; doubled for the next.
const RETRY_BACKOFF: Duration = Duration::from_millis(50);
/// How long a peer may take to say that it is there.
const PROBE_MAX: Duration = Duration::from_secs(1);
/// A peer gets this much less time than its caller has, so that its answer still arrives.
const DEADLINE_MARGIN: Duration = Duration::from_millis(20);

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
            call_timeout: Duration::from_millis(self.settings.call_timeout_ms),
            outstanding: Semaphore::new(self.settings.outstanding_max),
            breaker: Breaker::new(name),
            // At most a fifth of the calls may be retries, beside ten a second: a struggling peer is not helped by thrice
            // the load.
            budget: TpsBudget::new(Duration::from_secs(10), 10, 0.2),
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
    call_timeout: Duration,
    outstanding: Semaphore,
    breaker: Breaker,
    budget: TpsBudget,
}

/// What came of one attempt.
struct Attempt {
    outcome: Result<Answer, PeerError>,
    /// It was given up by us. What the peer does is not known by that.
    timed_out: bool,
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
        match self.attempt(&Call::get("/health"), PROBE_MAX).await.outcome {
            Ok(answer) if answer.status.is_success() => Ok(()),
            Ok(answer) => Err(format!("answered {}", answer.status)),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Makes `call`, for a caller that needs the peer to have done it: an answer of 500 or above is an error.
    ///
    /// # Errors
    /// As [`Peer::send`]; a 5xx counts as [`PeerError::Unanswered`], since it does not say what was done.
    pub fn ask(&self, call: Call) -> BoxFuture<'_, Result<Answer, PeerError>> {
        Box::pin(async move {
            let answer = self.send_retrying(call).await?;
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
        Box::pin(self.send_retrying(call))
    }

    async fn send_retrying(&self, call: Call) -> Result<Answer, PeerError> {
        let context = RequestContext::current();
        let Inner { name, outstanding, budget, .. } = &*self.0;
        let Ok(_permit) = timeout(context.remaining(), outstanding.acquire()).await else {
            return Err(self.unreachable("too many requests are outstanding"));
        };
        if context.remaining() <= DEADLINE_MARGIN {
            // Nothing that the peer could do about it, so its breaker is not told.
            return Err(self.unreachable("the deadline has passed"));
        }
        budget.deposit();
        // Full jitter: anything up to the longest wait, so that those who failed together do not come back together.
        let mut delays = (0..RETRIES_MAX).map(|retry| RETRY_BACKOFF.mul_f64(fastrand::f64()) * (1 << retry));
        // Whether any attempt may have arrived: the last one alone does not tell.
        let mut sent = false;
        loop {
            let outcome = self.guarded(&call, &context).await;
            if matches!(&outcome, Ok(answer) if !is_transient(answer.status)) {
                return outcome;
            }
            sent |= matches!(outcome, Ok(_) | Err(PeerError::Unanswered { .. }));
            let retry = (call.retry == Retry::Yes).then(|| delays.next()).flatten();
            match (retry, outcome) {
                (Some(delay), _) if context.remaining() > delay + DEADLINE_MARGIN && budget.withdraw() => {
                    metrics::counter!("http_client_retries_total", "peer" => *name).increment(1);
                    tokio::time::sleep(delay).await;
                }
                (_, Err(error)) if sent => return Err(self.unanswered(error.cause())),
                (_, outcome) => return outcome,
            }
        }
    }

    /// One attempt, if the breaker lets it through.
    async fn guarded(&self, call: &Call, context: &RequestContext) -> Result<Answer, PeerError> {
        let breaker = &self.0.breaker;
        if !breaker.permits_call() {
            return Err(self.unreachable("its circuit breaker is open"));
        }
        let limit = call.timeout.unwrap_or(self.0.call_timeout).min(context.remaining());
        let Attempt { outcome, timed_out } = self.attempt(call, limit).await;
        match &outcome {
            Ok(answer) if answer.status != StatusCode::INTERNAL_SERVER_ERROR => breaker.on_success(),
            Err(_) if timed_out => self.find_out_whether_it_is_there(),
            Ok(_) | Err(_) => breaker.on_failure(),
        }
        outcome
    }

    /// After a time-out. The caller does not wait for it.
    fn find_out_whether_it_is_there(&self) {
        if self.0.breaker.on_time_out() {
            let peer = self.clone();
            tokio::spawn(async move {
                let is_there = peer.probe().await.is_ok();
                peer.0.breaker.settle_time_outs(is_there);
            });
        }
    }

    async fn attempt(&self, call: &Call, limit: Duration) -> Attempt {
        let span = spans::client(call, self.0.name, &self.0.base);
        let started = Instant::now();
        let outcome = timeout(limit, self.exchange(call, limit).instrument(span.clone())).await;
        let timed_out = outcome.is_err();
        let outcome = outcome.unwrap_or_else(|_| Err(self.unanswered(format!("no answer within {limit:?}"))));
        spans::record_outcome(&span, &outcome);
        let status = match &outcome {
            Ok(answer) => answer.status.as_str().to_owned(),
            Err(error) => error.kind().to_owned(),
        };
        metrics::histogram!("http_client_request_duration_seconds",
            "peer" => self.0.name, "method" => call.method.to_string(), "status" => status)
        .record(started.elapsed());
        Attempt { outcome, timed_out }
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
        let left_ms = u64::try_from(limit.saturating_sub(DEADLINE_MARGIN).as_millis()).unwrap_or(u64::MAX);
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
