//! The frame every service's routes run in: trace, request id, metrics, problems, who may call, the body, the deadline.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use opentelemetry::propagation::Extractor;
use opentelemetry::trace::TraceContextExt as _;
use tokio::time::{Instant, timeout_at};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::context::REQUEST_ID;
use crate::settings::{Callers, DeadlineOf, ServerSettings};
use crate::spans::{self, PROBES};
use crate::{Problem, RequestContext, body, browsers, etag, health};

/// `routes`, and those that every service has, in the frame. What is outermost comes last.
pub fn frame(routes: Router, settings: ServerSettings) -> Router {
    let ServerSettings { listen, checks, metrics, deadline, callers } = settings;
    let checks = Arc::new(checks);
    let within = TimeLimits {
        body: Duration::from_millis(listen.body_timeout_ms),
        answer: deadline,
        callers_count: matches!(callers, Callers::Services),
    };
    let framed = routes
        .route("/health", get(health::health))
        .route("/ready", get(move || health::ready(Arc::clone(&checks))))
        .route("/metrics", get(move || std::future::ready(metrics())))
        .fallback(async || Problem::no_such_path())
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed")
                .detail("This path has no such method; the Allow header names those it has.")
        })
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn(etag::answer_unless_known))
        .layer(middleware::from_fn(etag::keep_for_later))
        .layer(middleware::from_fn_with_state(within, keep_time))
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            Problem::internal().into_response()
        }));
    let guarded = match callers {
        Callers::Services => framed,
        Callers::Strangers(settings) => {
            framed.layer(middleware::from_fn_with_state(settings.cors_origins, browsers::guard))
        }
    };
    guarded.layer(middleware::from_fn(observe))
}

/// How long what may take.
#[derive(Clone, Copy)]
struct TimeLimits {
    /// The client, to send the body.
    body: Duration,
    /// The service, to answer.
    answer: DeadlineOf,
    /// Whether a caller may shorten that.
    callers_count: bool,
}

/// When the whole request was there: what comes before is the client's time.
#[derive(Clone, Copy)]
struct Received(Instant);

/// Receives the body, and has the answer out in time: whoever asked has a deadline too.
async fn keep_time(State(within): State<TimeLimits>, request: Request, next: Next) -> Response {
    let arrived = Instant::now();
    let request = body::receive(request, within.body).await;
    let received = Instant::now();
    let mut response = match request {
        Ok(request) => answer_in_time(within, request, next, arrived).await,
        Err(refusal) => refusal,
    };
    response.extensions_mut().insert(Received(received));
    response
}

async fn answer_in_time(within: TimeLimits, request: Request, next: Next, arrived: Instant) -> Response {
    let (longest, asked) = ((within.answer)(&request), RequestContext::asked_within(request.headers()));
    let deadline = match asked.filter(|_| within.callers_count) {
        // The caller's time began when it sent the head.
        Some(asked) => arrived + asked.min(longest),
        // What a slow client takes to send its body is not taken from the time to work on it.
        None => Instant::now() + longest,
    };
    let context = RequestContext { deadline, ..RequestContext::current() };
    match timeout_at(deadline, context.scope(next.run(request))).await {
        Ok(response) => response,
        Err(_) => {
            Problem::unavailable("The answer was not ready before the request's deadline.").into_response()
        }
    }
}

/// The outermost layer: everything that is known only before, or only after, the request was handled.
async fn observe(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let context = RequestContext::of(request.headers());
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
    let began = response.extensions().get::<Received>().map_or(started, |received| received.0);
    if let Some(mut problem) = response.extensions_mut().remove::<Problem>() {
        problem.instance = Some(path);
        let headers = std::mem::take(response.headers_mut());
        response = problem.render();
        keep_headers(&headers, response.headers_mut());
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    let (status, duration) = (response.status(), began.elapsed());
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
    for name in from.keys().filter(|&name| name != header::CONTENT_LENGTH) {
        if !to.contains_key(name) {
            from.get_all(name).iter().for_each(|line| _ = to.append(name, line.clone()));
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
