//! The frame in which every call is answered: trace, request id, metrics, the deadline, a panic that becomes INTERNAL, bounds.

use std::collections::HashMap;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};
use tonic::Status;
use tonic::body::Body;
use tonic::server::Grpc;
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;
use tracing::{Instrument as _, Span};
use web::{Guard, REQUEST_ID, RequestContext};

use super::body::Until;
use super::service::{Handler, Service};
use super::settings::DeadlineOf;
use crate::code::Code;
use crate::method::Method;
use crate::refusal::Refusal;
use crate::spans;
use crate::wire::{BytesCodec, CONTENT_TYPE, STATUS, asked_within};

/// An answer is out by this much before its caller gives up, so that it is the answer that the caller sees.
const ANSWER_BEFORE: Duration = Duration::from_millis(10);
/// How a call is named that names no method: every value of a label is a series of its own for ever.
const OTHER: &str = "_OTHER";

/// Services of others, such as health: they come with code of their own.
pub(crate) type Foreign = BoxCloneSyncService<Request<Incoming>, Response<Body>, Infallible>;

/// Everything that a connection's calls lead to.
pub(crate) struct Frame {
    methods: HashMap<&'static str, (&'static Method, Handler)>,
    foreign: Vec<(&'static str, Foreign)>,
    http: Router,
    deadline: DeadlineOf,
    request_bytes_max: usize,
}

impl Frame {
    /// Answers `services`, `foreign` ones by their names, and by `http` what is not gRPC.
    pub(crate) fn new(
        services: Vec<Service>,
        foreign: Vec<(&'static str, Foreign)>,
        http: Router,
        deadline: DeadlineOf,
        request_bytes_max: usize,
    ) -> Self {
        let methods = services.into_iter().flat_map(|service| service.methods);
        let methods = methods.map(|(method, handler)| (method.path(), (method, handler))).collect();
        Self { methods, foreign, http, deadline, request_bytes_max }
    }

    /// Answers a request, whatever it is.
    pub(crate) fn answer(self: Arc<Self>, request: Request<Incoming>) -> BoxFuture<'static, Response<Body>> {
        let is_grpc = request
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|it| it.as_bytes().starts_with(CONTENT_TYPE.as_bytes()));
        if is_grpc {
            return Box::pin(async move { self.observe(request).await });
        }
        let http = self.http.clone();
        Box::pin(async move {
            let Ok(response) = http.oneshot(request).await;
            response.map(Body::new)
        })
    }

    /// The outermost layer: what is known only before, or only after, a call was handled.
    async fn observe(&self, request: Request<Incoming>) -> Response<Body> {
        let started = Instant::now();
        let context = RequestContext::of(request.headers());
        let id = HeaderValue::from_str(&context.id);
        let name = self.name(request.uri().path());
        let span = if self.methods.contains_key(request.uri().path()) {
            spans::server(name, request.headers(), &context)
        } else {
            Span::none()
        };
        let mut response = self.dispatch(request, context, started).instrument(span.clone()).await;
        if let Ok(id) = id {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        let code = code_of(response.headers());
        let duration = started.elapsed();
        span.in_scope(|| {
            if spans::record_status(&span, code) {
                tracing::warn!(status = code.name(), ?duration, "answered");
            } else {
                tracing::debug!(status = code.name(), ?duration, "answered");
            }
        });
        metrics::histogram!("rpc_server_call_duration_seconds", "method" => name, "status" => code.name())
            .record(duration);
        response
    }

    fn name(&self, path: &str) -> &'static str {
        match self.methods.get(path) {
            Some((method, _)) => method.full_name(),
            None => self.foreign(path).map_or(OTHER, |(name, _)| name),
        }
    }

    fn foreign(&self, path: &str) -> Option<&(&'static str, Foreign)> {
        let service = path.strip_prefix('/')?.split_once('/')?.0;
        self.foreign.iter().find(|(name, _)| *name == service)
    }

    async fn dispatch(
        &self,
        request: Request<Incoming>,
        context: RequestContext,
        arrived: Instant,
    ) -> Response<Body> {
        let asked = asked_within(request.headers()).map(in_time_for);
        if let Some((method, handler)) = self.methods.get(request.uri().path()) {
            let longest = (self.deadline)(method);
            let deadline = arrived + asked.map_or(longest, |asked| asked.min(longest));
            let context = RequestContext { deadline, ..context };
            return within(deadline, context.scope(self.unary(handler, request))).await;
        }
        let Some((_, service)) = self.foreign(request.uri().path()) else {
            return refused(&Refusal::new(
                Code::Unimplemented,
                "no-such-method",
                "There is no such method here.",
            ));
        };
        let call = service.clone().oneshot(request).map(|Ok(response)| response);
        // A service of others may stream, and for as long as its caller likes.
        let Some(asked) = asked else { return within(arrived + FOR_EVER, call).await };
        let deadline = arrived + asked;
        within(deadline, call).await.map(|body| Body::new(Until::new(body, deadline)))
    }

    async fn unary(&self, handler: &Handler, request: Request<Incoming>) -> Response<Body> {
        let reached = AtomicBool::new(false);
        let answer = tower::service_fn(|request: tonic::Request<Bytes>| {
            reached.store(true, Ordering::Relaxed);
            let message = request.into_inner();
            spans::record_size(&Span::current(), "rpc.request.size", message.len());
            let answer = handler(message);
            async move {
                let message = answer.await.map_err(|refusal| in_so_little_time(refusal).to_status())?;
                spans::record_size(&Span::current(), "rpc.response.size", message.len());
                Ok::<_, Status>(tonic::Response::new(message))
            }
        });
        let mut grpc = Grpc::new(BytesCodec).max_decoding_message_size(self.request_bytes_max);
        let response = grpc.unary(answer, request).await;
        // It is the library that says OUT_OF_RANGE then; everybody else says RESOURCE_EXHAUSTED.
        if !reached.into_inner() && code_of(response.headers()) == Code::OutOfRange {
            return refused(&Refusal::too_large());
        }
        response
    }
}

/// Longer than anything runs.
const FOR_EVER: Duration = Duration::from_secs(1 << 32);

/// When an answer has to be out whose caller waits so long. One in a great hurry gets three quarters of its time.
fn in_time_for(asked: Duration) -> Duration {
    asked.saturating_sub(ANSWER_BEFORE.min(asked / 4))
}

/// What a caller is told who has left too little time to ask anybody else: that this is why, and not that somebody is away. Whoever
/// was asked and ran out of time has said so a little earlier, as everybody does.
fn in_so_little_time(refusal: Refusal) -> Refusal {
    let left = Guard::left_for_the_peer(RequestContext::current().remaining());
    if refusal.code == Code::Unavailable && left < 2 * ANSWER_BEFORE {
        Refusal::deadline_exceeded()
    } else {
        refusal
    }
}

/// What `call` answers; that its time is over, or that it panicked.
async fn within(deadline: Instant, call: impl Future<Output = Response<Body>>) -> Response<Body> {
    match timeout_at(deadline, AssertUnwindSafe(call).catch_unwind()).await {
        Ok(Ok(response)) => response,
        // The panic's own words are in the log.
        Ok(Err(_)) => refused(&Refusal::internal()),
        Err(_) => refused(&Refusal::deadline_exceeded()),
    }
}

fn refused(refusal: &Refusal) -> Response<Body> {
    refusal.to_status().into_http()
}

/// A refusal without a body has its status among the headers; one that is not there is OK, so far.
fn code_of(headers: &HeaderMap) -> Code {
    headers.get(STATUS).map_or(Code::Ok, |code| Code::of(tonic::Code::from_bytes(code.as_bytes())))
}
