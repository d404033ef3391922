//! What calls leave in traces. Alone in its process: what one test's thread records, `tracing` may decide by another's.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod trial;

use std::sync::{Arc, Mutex};

use opentelemetry::Value;
use opentelemetry::trace::{SpanKind, TracerProvider as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use prost::Message as _;
use tracing_subscriber::layer::SubscriberExt as _;
use trial::{Server, client, count, echo, eventually};

/// Keeps spans as they end.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

fn attribute<'a>(span: &'a SpanData, name: &str) -> Option<&'a Value> {
    span.attributes.iter().find(|it| it.key.as_str() == name).map(|it| &it.value)
}

#[tokio::test]
async fn a_call_is_a_span_at_both_ends_of_one_trace() {
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let kept = Kept::default();
    let tracer = SdkTracerProvider::builder().with_simple_exporter(kept.clone()).build().tracer("test");
    let registry = tracing_subscriber::registry().with(tracing_opentelemetry::layer().with_tracer(tracer));
    let _guard = tracing::subscriber::set_default(registry);
    let server = Server::start().await;
    let client = client(&[server.address]);
    let request = echo("hello");
    let answer = client.echo(&request).await.unwrap();
    client.count(&count("sold-out")).await.unwrap_err();
    // A client may have its answer before the server's span has ended.
    let ended = |kind: SpanKind| kept.0.lock().unwrap().iter().filter(|span| span.span_kind == kind).count();
    eventually("two spans at each end", async || {
        ended(SpanKind::Client) >= 2 && ended(SpanKind::Server) >= 2
    })
    .await;
    // The probes of the channel leave none.
    let spans = std::mem::take(&mut *kept.0.lock().unwrap());
    let of = |kind: SpanKind| spans.iter().filter(move |span| span.span_kind == kind).collect::<Vec<_>>();
    let (clients, servers) = (of(SpanKind::Client), of(SpanKind::Server));
    assert_eq!((clients.len(), servers.len()), (2, 2), "{spans:#?}");
    for (client, server) in clients.iter().zip(&servers) {
        assert_eq!(client.span_context.trace_id(), server.span_context.trace_id());
        assert_eq!(server.parent_span_id, client.span_context.span_id());
    }
    let (request_bytes, response_bytes) = (request.encoded_len(), answer.encoded_len());
    for span in [clients[0], servers[0]] {
        assert_eq!(span.name, "trial.v1.TrialService/Echo");
        for (name, value) in [
            ("rpc.system.name", Value::String("grpc".into())),
            ("rpc.method", Value::String("trial.v1.TrialService/Echo".into())),
            ("rpc.response.status_code", Value::String("OK".into())),
            ("rpc.request.size", Value::I64(request_bytes.try_into().unwrap())),
            ("rpc.response.size", Value::I64(response_bytes.try_into().unwrap())),
        ] {
            assert_eq!(attribute(span, name), Some(&value), "{name} of {:?}", span.span_kind);
        }
    }
    assert_eq!(attribute(clients[0], "server.port"), Some(&Value::I64(server.address.port().into())));
    // For its client a refusal is an error; the server did what it should.
    let refused = Value::String("FAILED_PRECONDITION".into());
    assert_eq!(attribute(clients[1], "error.type"), Some(&refused));
    assert_eq!(attribute(servers[1], "rpc.response.status_code"), Some(&refused));
    assert_eq!(attribute(servers[1], "error.type"), None);
}
