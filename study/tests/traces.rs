//! The receiver of spans, fed with exports as services send them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use lab::styles::Counts;
use lab::traces::{Receiver, SpanKind, TraceId};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use reqwest::StatusCode;
use study::figures::spans;

/// How long something that should happen soon may take.
const SOON: Duration = Duration::from_secs(10);

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

/// A span that takes part in the trace of `traceparent`, below `parent` or else below the client.
fn span(traceparent: &str, id: u8, parent: Option<u8>, kind: SpanKind, attributes: Vec<KeyValue>) -> Span {
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    };
    let id_of = |id: u8| vec![0, 0, 0, 0, 0, 0, 0, id];
    Span {
        trace_id: bytes(&traceparent[3..35]),
        span_id: id_of(id),
        parent_span_id: parent.map_or_else(|| bytes(&traceparent[36..52]), id_of),
        kind: kind.into(),
        attributes,
        ..Span::default()
    }
}

async fn export(receiver: &Receiver, service: &str, spans: Vec<Span>) {
    let resource = Resource { attributes: vec![text("service.name", service)], ..Resource::default() };
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let of_resource = ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() };
    let export = ExportTraceServiceRequest { resource_spans: vec![of_resource] }.encode_to_vec();
    let url = receiver.endpoint().join("v1/traces").unwrap();
    let answer = reqwest::Client::new().post(url).body(export).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_trace_is_whole_when_every_call_has_its_answerer_and_every_span_its_parent() {
    let receiver = Receiver::start().await.unwrap();
    let trace = TraceId::fresh();
    let within = trace.traceparent();
    assert!(!receiver.trace(trace).is_whole());

    let call = vec![
        text("http.request.method", "GET"),
        attribute("http.request.size", Value::IntValue(100)),
        attribute("http.response.size", Value::IntValue(20)),
        attribute("http.response.status_code", Value::IntValue(200)),
    ];
    export(&receiver, "order", vec![span(&within, 2, Some(1), SpanKind::Client, call)]).await;
    assert!(!receiver.trace(trace).is_whole(), "the parent is missing");
    export(&receiver, "order", vec![span(&within, 1, None, SpanKind::Server, Vec::new())]).await;
    assert!(!receiver.trace(trace).is_whole(), "the answerer is missing");
    let message = vec![
        text("messaging.system", "kafka"),
        attribute("messaging.message.envelope.size", Value::IntValue(7)),
    ];
    let answered = span(&within, 3, Some(2), SpanKind::Server, Vec::new());
    let sent = span(&within, 4, Some(3), SpanKind::Producer, message);
    export(&receiver, "billing", vec![answered, sent]).await;

    let whole = receiver.whole_trace(trace, |trace| trace.spans.len() == 4, SOON).await.unwrap();
    let cost = whole.cost();
    assert_eq!(cost.counts, Counts { http_requests: 1, gets: 1, rpcs: 0, messages: 1 });
    assert_eq!(cost.bytes, 100 + 20 + 7);
    assert_eq!(whole.spans[2].service, "billing");
    let by_service = whole.cost_by_service();
    assert_eq!((by_service["order"].bytes, by_service["billing"].bytes), (100 + 20, 7));
    let ends: Vec<_> = spans::of(&whole)
        .into_iter()
        .map(|span| (span.id.ends_with('1'), span.parent.is_some(), span.kind, span.peer))
        .collect();
    let server =
        |is_first, has_parent, peer: &str| (is_first, has_parent, "server".to_owned(), Some(peer.to_owned()));
    assert!(ends.contains(&server(true, false, "client")), "{ends:?}");
    assert!(ends.contains(&server(false, true, "order")), "{ends:?}");

    let error = receiver.whole_trace(trace, |_| false, Duration::from_millis(10)).await.unwrap_err();
    assert!(error.to_string().contains("4 spans; order Client"), "{error}");
}

#[tokio::test]
async fn what_is_no_export_is_refused() {
    let receiver = Receiver::start().await.unwrap();
    let url = receiver.endpoint().join("v1/traces").unwrap();
    let answer = reqwest::Client::new().post(url).body("no spans").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
}
