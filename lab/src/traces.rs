//! A receiver of spans: what services export with OTLP over HTTP is kept in memory, trace by trace, so that what an order
//! costs can be counted instead of claimed.

mod cost;
mod trace;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::post;
pub use cost::Cost;
use futures_util::future::BoxFuture;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message as _;
use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
pub use trace::{Span, SpanKind, Trace, TraceId};
use url::Url;

/// Spans held at most; beyond it the oldest traces go.
const SPANS_MAX: usize = 50_000;
/// The largest export taken, in bytes. A batch of 512 spans, the default, is a tenth of it.
const EXPORT_BYTES_MAX: usize = 8 << 20;

/// Listens on loopback while it lives.
pub struct Receiver {
    endpoint: Url,
    held: watch::Receiver<Held>,
    server: JoinHandle<()>,
}

impl Receiver {
    /// Starts to listen, on a free port.
    ///
    /// # Errors
    /// When there is none.
    pub fn start() -> BoxFuture<'static, anyhow::Result<Self>> {
        Box::pin(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.context("listening for spans")?;
            let endpoint = format!("http://{}/", listener.local_addr()?).parse()?;
            let (sender, held) = watch::channel(Held::default());
            let routes = Router::new()
                .route("/v1/traces", post(take_spans))
                .layer(DefaultBodyLimit::max(EXPORT_BYTES_MAX))
                .with_state(sender);
            let server = tokio::spawn(async move {
                // Ends only with the task.
                let _ = axum::serve(listener, routes).await;
            });
            Ok(Self { endpoint, held, server })
        })
    }

    /// What services export to: their `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn endpoint(&self) -> &Url {
        &self.endpoint
    }

    /// What has arrived of a trace. All of it, once the services that took part were asked to stop and did: they export their
    /// last spans before they end.
    pub fn trace(&self, id: TraceId) -> Trace {
        self.held.borrow().trace(id)
    }

    /// Waits for a trace in which nothing that was begun lacks its end (see [`Trace::is_whole`]) and that is `as_expected`.
    ///
    /// # Errors
    /// When there is none after `longest`; what has arrived by then is in the error.
    pub async fn whole_trace(
        &self,
        id: TraceId,
        as_expected: impl Fn(&Trace) -> bool,
        longest: Duration,
    ) -> anyhow::Result<Trace> {
        let mut held = self.held.clone();
        let complete = |held: &Held| {
            let trace = held.trace(id);
            trace.is_whole() && as_expected(&trace)
        };
        match timeout(longest, held.wait_for(complete)).await {
            Ok(Ok(held)) => Ok(held.trace(id)),
            Ok(Err(_)) => anyhow::bail!("the receiver of spans has ended"),
            Err(_) => anyhow::bail!("after {longest:?} there is of trace {}", self.trace(id)),
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// `POST /v1/traces`
async fn take_spans(
    State(held): State<watch::Sender<Held>>,
    body: Bytes,
) -> Result<([(reqwest::header::HeaderName, &'static str); 1], Vec<u8>), (StatusCode, String)> {
    let export = ExportTraceServiceRequest::decode(body)
        .map_err(|error| (StatusCode::BAD_REQUEST, format!("not an export of spans: {error}")))?;
    held.send_modify(|held| held.keep(export));
    Ok(([(CONTENT_TYPE, "application/x-protobuf")], ExportTraceServiceResponse::default().encode_to_vec()))
}

/// The spans in memory.
#[derive(Default)]
struct Held {
    traces: HashMap<TraceId, Vec<Span>>,
    /// In the order of their first spans.
    order: VecDeque<TraceId>,
    spans: usize,
}

impl Held {
    fn trace(&self, id: TraceId) -> Trace {
        Trace { id, spans: self.traces.get(&id).cloned().unwrap_or_default() }
    }

    fn keep(&mut self, export: ExportTraceServiceRequest) {
        for (id, span) in trace::spans(export) {
            let spans = self.traces.entry(id).or_default();
            if spans.is_empty() {
                self.order.push_back(id);
            }
            spans.push(span);
            self.spans += 1;
        }
        while self.spans > SPANS_MAX {
            let Some(oldest) = self.order.pop_front() else { break };
            self.spans -= self.traces.remove(&oldest).map_or(0, |spans| spans.len());
        }
    }
}
