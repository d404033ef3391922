//! A channel: what between a service and the instances of one of its peers carries calls.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use tokio::time::{Instant, timeout_at};
use tonic::Status;
use tonic::metadata::MetadataMap;
use tracing::{Instrument as _, Span};
use web::{Attempt, Guard, GuardMetrics, PeerError, REQUEST_ID, RequestContext, Terms};

use super::connection::{Connection, Failure, Reply};
use super::endpoints::Endpoints;
use super::resolve::{self, Resolver, Target};
use super::settings::ChannelSettings;
use crate::code::Code;
use crate::method::Method;
use crate::mistake::time_for_a_try;
use crate::refusal::Refusal;
use crate::spans;
use crate::wire::{CONTENT_TYPE, TIMEOUT, timeout, unframe};

/// What a channel's guard calls its metrics.
const METRICS: GuardMetrics = GuardMetrics {
    retries: "rpc_client_retries_total",
    breaker_state: "rpc_client_breaker_state",
    breaker_rejections: "rpc_client_breaker_rejections_total",
};
/// Where the details of a status are.
const DETAILS: &str = "grpc-status-details-bin";
/// How long a peer may take to say that it is there.
const PROBE_MAX: Duration = Duration::from_secs(1);
/// A call that was never sent goes to the next connection at once, at most this often.
const CONNECTIONS_MAX: usize = 8;

/// Makes channels that have the same settings.
#[derive(Clone)]
pub struct Client {
    settings: ChannelSettings,
    resolver: Resolver,
}

impl Client {
    /// A client with `settings`.
    pub fn new(settings: ChannelSettings) -> Self {
        Self { settings, resolver: resolve::system() }
    }

    /// Finds addresses by `resolver`, which is given `host:port`, and not in the system's way.
    #[must_use]
    pub fn resolving_by(mut self, resolver: Resolver) -> Self {
        self.resolver = resolver;
        self
    }

    /// A channel to the service `name`, whose instances are at `target`. Hold on to it: breaker, bound, budget and connections
    /// belong to it. It begins to connect at once in a runtime, and elsewhere with the first call.
    pub fn channel(&self, name: &'static str, target: Target) -> Channel {
        Channel(Arc::new(Inner {
            guard: Guard::new(name, &self.settings.client, METRICS),
            authority: target.authority().to_string(),
            endpoints: Endpoints::new(name, target, Arc::clone(&self.resolver), self.settings.clone()),
            response_bytes_max: self.settings.response_bytes_max,
        }))
    }
}

/// Another service, as seen from this one.
#[derive(Clone)]
pub struct Channel(Arc<Inner>);

struct Inner {
    guard: Guard,
    authority: String,
    endpoints: Endpoints,
    response_bytes_max: usize,
}

/// A call.
struct Asked {
    method: &'static Method,
    /// With its prefix.
    message: Bytes,
    /// Which instance was asked last. The next attempt goes elsewhere.
    failed_at: Mutex<Option<SocketAddr>>,
}

impl Asked {
    fn failed_at(&self) -> Option<SocketAddr> {
        *self.failed_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fails_at(&self, address: SocketAddr) {
        *self.failed_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
    }
}

/// A response, or what the callee said instead.
pub(crate) type Answer = Result<Bytes, Refusal>;

impl Channel {
    /// The service's name.
    pub fn name(&self) -> &'static str {
        self.0.guard.peer()
    }

    /// Whether an instance of the peer is there: for `/ready`. Passes by breaker and budget.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub async fn probe(&self) -> Result<(), String> {
        self.0.endpoints.pick(Instant::now() + PROBE_MAX, None).await?.probe().await
    }

    /// Makes a call with a `message` that has its prefix. Ends before the current request's deadline.
    ///
    /// # Errors
    /// When there is no answer. [`PeerError::Unreachable`] promises that no attempt reached the peer.
    pub(crate) fn ask(
        &self,
        method: &'static Method,
        message: Bytes,
        terms: Terms,
    ) -> BoxFuture<'_, Result<Answer, PeerError>> {
        let is_there = || -> BoxFuture<'static, bool> {
            let channel = self.clone();
            Box::pin(async move { channel.probe().await.is_ok() })
        };
        Box::pin(async move {
            let call = Asked { method, message, failed_at: Mutex::new(None) };
            let attempt = |limit| self.attempt(&call, time_for_a_try(limit));
            self.0.guard.call(terms, attempt, is_there).await
        })
    }

    /// One attempt, as metrics and spans show it.
    async fn attempt(&self, call: &Asked, limit: Duration) -> Attempt<Answer> {
        let span = spans::client(call.method, self.name(), &call.message);
        let started = Instant::now();
        let attempt = self.send(call, limit).instrument(span.clone()).await;
        let status = spans::record_attempt(&span, &attempt);
        metrics::histogram!("rpc_client_call_duration_seconds",
            "peer" => self.name(), "method" => call.method.full_name(), "status" => status)
        .record(started.elapsed());
        attempt
    }

    /// What was never sent goes to another connection at once: that is no second attempt.
    async fn send(&self, call: &Asked, limit: Duration) -> Attempt<Answer> {
        let until = Instant::now() + limit;
        let mut never_sent = String::new();
        for _ in 0..CONNECTIONS_MAX {
            let connection = match self.0.endpoints.pick(until, call.failed_at()).await {
                Ok(connection) => connection,
                Err(cause) => return Attempt::Unreachable(cause),
            };
            spans::record_instance(&Span::current(), connection.address);
            call.fails_at(connection.address);
            let left = until.saturating_duration_since(Instant::now());
            let request = self.request(call.method, Guard::left_for_the_peer(left));
            let exchange = connection.call(request, call.message.clone(), self.0.response_bytes_max);
            match timeout_at(until, exchange).await {
                Ok(Ok(reply)) => return read(reply),
                Ok(Err(Failure::NeverSent(cause))) => never_sent = cause,
                Ok(Err(Failure::Lost(cause))) => return self.lost(&connection, cause),
                Err(_) => return Attempt::TimedOut(format!("no answer within {limit:?}")),
            }
        }
        Attempt::Unreachable(never_sent)
    }

    fn request(&self, method: &'static Method, left: Duration) -> Request<()> {
        let uri =
            Uri::builder().scheme("http").authority(self.0.authority.as_str()).path_and_query(method.path());
        let mut request = Request::post(uri.build().expect("generated code and a target that was parsed"))
            .body(())
            .expect("checked");
        let headers = request.headers_mut();
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        headers.insert(TIMEOUT, timeout(left));
        if let Ok(id) = HeaderValue::from_str(&RequestContext::current().id) {
            headers.insert(REQUEST_ID, id);
        }
        spans::inject(&Span::current(), headers);
        request
    }

    /// With one instance, a lost connection says something of the peer; with others that are there, it says nothing of them.
    fn lost(&self, connection: &Connection, cause: String) -> Attempt<Answer> {
        if self.0.endpoints.has_another_than(connection.address) {
            Attempt::LostWithAnInstance(cause)
        } else {
            Attempt::Lost(cause)
        }
    }
}

fn read(reply: Reply) -> Attempt<Answer> {
    // A refusal may come without a body, and then its status stands where the headers are.
    let is_grpc = reply.status == StatusCode::OK && is_grpc(&reply.headers);
    let status = status_in(reply.trailers).or_else(|| status_in(reply.headers));
    let Some(status) = status.filter(|_| is_grpc) else {
        return Attempt::Lost(format!("it answered {}, and not as gRPC does", reply.status));
    };
    if status.code() == tonic::Code::Ok {
        return match unframe(reply.body) {
            Ok(message) => Attempt::Answered(Ok(message)),
            Err(wrong) => Attempt::Lost(format!("it answered {wrong}")),
        };
    }
    let refusal = Refusal::of(&status);
    match refusal.code {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => Attempt::ComeAgain(Err(refusal)),
        Code::Internal | Code::Unknown | Code::DataLoss => Attempt::Broken(Err(refusal)),
        _ => Attempt::Answered(Err(refusal)),
    }
}

/// The status that stands in `headers`. The library panics on details that are not Base64, so these are taken out first.
fn status_in(headers: HeaderMap) -> Option<Status> {
    let mut headers = MetadataMap::from_headers(headers);
    if headers.get_bin(DETAILS).is_some_and(|details| details.to_bytes().is_err()) {
        headers.remove_bin(DETAILS);
    }
    Status::from_header_map(headers.as_ref())
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|it| it.as_bytes().starts_with(CONTENT_TYPE.as_bytes()))
}
