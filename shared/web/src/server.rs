//! The frame every service's routes run in: trace, request id, deadline, size limit, metrics, problems, graceful shutdown.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use clap::Args;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use opentelemetry::propagation::Extractor;
use opentelemetry::trace::TraceContextExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::context::REQUEST_ID;
use crate::health::{self, Check};
use crate::spans::{self, PROBES};
use crate::{Problem, RequestContext};

/// The largest request body, in bytes. Past it the answer is 413.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// The largest request head, in bytes. Past it the answer is 431.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// How long running requests may take to finish at shutdown.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// How long somebody who may be answered without the outcome waits for it then.
const WAIT_AT_SHUTDOWN: Duration = Duration::from_secs(5);

/// Where a service listens.
#[derive(Clone, Debug, Args)]
pub struct ListenSettings {
    /// Address to listen on.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// Most connections at a time; further ones wait to be accepted.
    #[arg(long, env = "CONNECTIONS_MAX", default_value_t = 4096)]
    pub connections_max: usize,

    /// Longest time for a request's head to arrive, also the first one's and that of an idle connection, in milliseconds.
    #[arg(long, env = "HEAD_TIMEOUT_MS", default_value_t = 30_000)]
    pub head_timeout_ms: u64,
}

/// How long a request may take.
pub type DeadlineOf = fn(&Request) -> Duration;

/// What the frame needs to know about a service.
pub struct ServerSettings {
    /// Where it listens, and within which limits.
    pub listen: ListenSettings,
    /// What `/ready` asks.
    pub checks: Vec<Check>,
    /// What `/metrics` answers, in Prometheus' text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// How long a request may take as a whole.
    pub deadline: DeadlineOf,
    /// Whether a caller may shorten that. A service of ours does, so that its own deadline is met; a stranger who could would
    /// cut short our calls to others and make them look broken.
    pub callers_deadline_counts: bool,
}

/// Listens on `address`.
///
/// # Errors
/// One line that names the address and says what to do.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        anyhow::anyhow!(
            "cannot listen on {address}: {error}; stop what uses it or choose another address with --listen"
        )
    })
}

/// A token that is cancelled by SIGTERM or Ctrl-C.
///
/// # Errors
/// When no signal handler can be installed.
pub fn shutdown_on_signal() -> std::io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = CancellationToken::new();
    let cancelled = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        cancelled.cancel();
    });
    Ok(shutdown)
}

/// Runs a worker without which the service is not sound. Should it fail or panic, the service stops, so that whoever
/// supervises it starts it anew. The handle ends with the worker.
pub fn spawn_worker(
    worker: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    shutdown: CancellationToken,
) -> JoinHandle<anyhow::Result<()>> {
    let running = tokio::spawn(worker);
    tokio::spawn(async move {
        let outcome = running.await.unwrap_or_else(|panic| Err(panic.into()));
        if let Err(error) = &outcome {
            tracing::error!(error = format!("{error:#}"), "a worker ended; stopping");
            shutdown.cancel();
        }
        outcome
    })
}

/// Serves `routes` until `shutdown`, then stops accepting and lets running requests finish.
///
/// Not `axum::serve`, which bounds neither the connections nor the time and memory that a half-sent request head takes.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    settings: ServerSettings,
    shutdown: CancellationToken,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(settings.listen.head_timeout_ms))
        .max_buf_size(HEAD_BYTES_MAX);
    let connections = Arc::new(Semaphore::new(settings.listen.connections_max));
    let service = TowerToHyperService::new(frame(routes, settings));
    let running = GracefulShutdown::new();
    while let Some((stream, permit)) = accept(&listener, &connections, &shutdown).await {
        let connection = running.watch(http.serve_connection(TokioIo::new(stream), service.clone()));
        tokio::spawn(async move {
            // Ends with an error when the client hangs up or is too slow, which is the client's affair.
            let _ = connection.await;
            drop(permit);
        });
    }
    drop(listener);
    if timeout(SHUTDOWN_GRACE, running.shutdown()).await.is_err() {
        tracing::warn!("requests were still running {SHUTDOWN_GRACE:?} after the shutdown began");
    }
}

/// `outcome`, if it comes until `by`. At `shutdown` that is soon, so that whoever waits is answered before the server is gone.
pub async fn in_time<T>(
    by: Instant,
    shutdown: &CancellationToken,
    outcome: impl Future<Output = T>,
) -> Option<T> {
    let over = async {
        tokio::select! {
            () = sleep_until(by) => {}
            () = async { shutdown.cancelled().await; sleep(WAIT_AT_SHUTDOWN).await } => {}
        }
    };
    tokio::select! {
        outcome = outcome => Some(outcome),
        () = over => None,
    }
}

/// The next connection, once there is room for it; `None` at shutdown.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
    shutdown: &CancellationToken,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let accepted = async {
        let permit = Arc::clone(connections).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return Some((stream, permit)),
                // Out of file descriptors, mostly: some will be free again.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    };
    let (stream, permit) =
        tokio::select! { next = accepted => next?, () = shutdown.cancelled() => return None };
    // Without this an answer of two small writes can wait 40 ms for the client's delayed ACK.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    Some((stream, permit))
}

fn frame(routes: Router, settings: ServerSettings) -> Router {
    let ServerSettings { checks, metrics, deadline, callers_deadline_counts, .. } = settings;
    let checks = Arc::new(checks);
    routes
        .route("/health", get(health::health))
        .route("/ready", get(move || health::ready(Arc::clone(&checks))))
        .route("/metrics", get(move || std::future::ready(metrics())))
        .fallback(async || Problem::no_such_path())
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed")
                .detail("This path has no such method; the Allow header names those it has.")
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(keep_deadline))
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            Problem::internal().into_response()
        }))
        .layer(middleware::from_fn_with_state((deadline, callers_deadline_counts), observe))
}

/// Gives up in time: whoever asked has a deadline too.
async fn keep_deadline(request: Request, next: Next) -> Response {
    let context = RequestContext::current();
    match tokio::time::timeout_at(context.deadline, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            Problem::unavailable("The answer was not ready before the request's deadline.").into_response()
        }
    }
}

/// The outermost layer: everything that is known only before, or only after, the request was handled.
async fn observe(
    State((deadline, callers_deadline_counts)): State<(DeadlineOf, bool)>,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let context = RequestContext::of(request.headers(), deadline(&request), callers_deadline_counts);
    let method = known_method(request.method());
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str).to_owned();
    let span = if PROBES.contains(&route.as_str()) {
        Span::none()
    } else {
        request_span(&request, method, &route, &context)
    };

    let id = context.id.clone();
    let mut response = context.scope(next.run(request)).instrument(span.clone()).await;
    if let Some(mut problem) = response.extensions_mut().remove::<Problem>() {
        problem.instance = Some(path);
        let headers = std::mem::take(response.headers_mut());
        response = problem.render();
        keep_headers(&headers, response.headers_mut());
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    let (status, duration) = (response.status(), started.elapsed());
    spans::record_status(&span, status);
    span.in_scope(|| {
        if status.is_server_error() {
            tracing::warn!(%status, ?duration, "answered");
        } else {
            tracing::debug!(%status, ?duration, "answered");
        }
    });
    metrics::histogram!("http_server_request_duration_seconds",
        "method" => method, "route" => route, "status" => status.as_str().to_owned())
    .record(duration);
    response
}

/// The span of a request, as a part of its caller's trace.
fn request_span(request: &Request, method: &'static str, route: &str, context: &RequestContext) -> Span {
    let span = tracing::info_span!(
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = route,
        url.path = request.uri().path(),
        url.scheme = "http",
        "error.type" = Empty,
        http.response.status_code = Empty,
        request_id = context.id,
        trace_id = Empty,
    );
    let parent =
        opentelemetry::global::get_text_map_propagator(|w3c| w3c.extract(&Headers(request.headers())));
    // Fails only where no OpenTelemetry layer is installed, as in unit tests.
    let _ = span.set_parent(parent);
    span.record("trace_id", span.context().span().span_context().trace_id().to_string());
    span
}

/// A method's name; `_OTHER` for one that a client made up (as OpenTelemetry's semantic conventions say), since every value
/// of a label is a series of its own for ever.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}

/// Keeps what the router or a handler said beside the problem, such as `Allow` of a 405.
fn keep_headers(from: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in from {
        if name != header::CONTENT_LENGTH && !to.contains_key(name) {
            to.append(name, value.clone());
        }
    }
}

/// Reads the W3C trace context out of HTTP headers.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}
