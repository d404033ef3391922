//! One trace: everything that one request led to, in whichever service.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
pub use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::{resource, trace};
use uuid::Uuid;

/// A trace's id, chosen by whoever begins it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId(u128);

impl TraceId {
    /// One that nobody has.
    pub fn fresh() -> Self {
        Self(Uuid::new_v4().as_u128())
    }

    /// The header by which a request becomes part of the trace, to be recorded (W3C Trace Context, `traceparent`).
    pub fn traceparent(self) -> String {
        format!("00-{:032x}-{:016x}-01", self.0, self.client_span())
    }

    /// The client's own span, which is never exported: the parent of the first that is.
    pub(super) fn client_span(self) -> u64 {
        // An id of 0 is none.
        Uuid::from_u128(self.0).as_u64_pair().1 | 1
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What one service did for a while.
#[derive(Clone, Debug)]
pub struct Span {
    /// The service, by its `service.name`.
    pub service: String,
    /// What it did.
    pub name: String,
    /// On which side of a call or a message it was.
    pub kind: SpanKind,
    /// When it began, in nanoseconds since 1970.
    pub started_at_ns: u64,
    /// When it ended, in nanoseconds since 1970.
    pub ended_at_ns: u64,
    /// Its id in the trace.
    pub id: u64,
    /// Whose part it is; 0: nobody's.
    pub parent: u64,
    attributes: BTreeMap<String, Value>,
}

impl Span {
    /// An attribute that is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.attributes.get(name)? {
            Value::StringValue(text) => Some(text),
            _ => None,
        }
    }

    /// An attribute that is an integer.
    pub fn integer(&self, name: &str) -> Option<i64> {
        match self.attributes.get(name)? {
            Value::IntValue(number) => Some(*number),
            _ => None,
        }
    }
}

/// The spans of a trace, in the order in which they arrived.
#[derive(Clone, Debug)]
pub struct Trace {
    /// Which.
    pub id: TraceId,
    /// What has arrived of it.
    pub spans: Vec<Span>,
}

impl Trace {
    /// Whether nothing is known to be missing: every span's parent is there, and every call that was answered has the span of
    /// who answered it. What has not begun yet is not known: a caller has to say what it expects.
    pub fn is_whole(&self) -> bool {
        let ids: HashSet<u64> = self.spans.iter().map(|span| span.id).collect();
        let serving = self.spans.iter().filter(|span| span.kind == SpanKind::Server);
        let served: HashSet<u64> = serving.map(|span| span.parent).collect();
        let is_answered_call = |span: &Span| {
            span.kind == SpanKind::Client && span.integer("http.response.status_code").is_some()
        };
        !self.spans.is_empty()
            && self.spans.iter().all(|span| {
                (ids.contains(&span.parent) || span.parent == self.id.client_span())
                    && (!is_answered_call(span) || served.contains(&span.id))
            })
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} spans", self.id, self.spans.len())?;
        for Span { service, kind, name, .. } in &self.spans {
            write!(f, "; {service} {kind:?} {name}")?;
        }
        Ok(())
    }
}

/// The spans of an export. One whose ids are malformed belongs to no trace and is left out.
pub(super) fn spans(export: ExportTraceServiceRequest) -> impl Iterator<Item = (TraceId, Span)> {
    export.resource_spans.into_iter().flat_map(|of_resource| {
        let service = service_name(of_resource.resource);
        let spans = of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans);
        spans.filter_map(move |span| decode(&service, span))
    })
}

fn decode(service: &str, span: trace::v1::Span) -> Option<(TraceId, Span)> {
    let trace = TraceId(u128::from_be_bytes(span.trace_id.try_into().ok()?));
    let decoded = Span {
        service: service.to_owned(),
        kind: SpanKind::try_from(span.kind).unwrap_or_default(),
        started_at_ns: span.start_time_unix_nano,
        ended_at_ns: span.end_time_unix_nano,
        id: u64::from_be_bytes(span.span_id.try_into().ok()?),
        parent: span.parent_span_id.try_into().map_or(0, u64::from_be_bytes),
        attributes: span.attributes.into_iter().filter_map(pair).collect(),
        name: span.name,
    };
    Some((trace, decoded))
}

fn service_name(resource: Option<resource::v1::Resource>) -> String {
    let mut attributes = resource.into_iter().flat_map(|it| it.attributes).filter_map(pair);
    match attributes.find(|(name, _)| name == "service.name") {
        Some((_, Value::StringValue(name))) => name,
        _ => "unknown".to_owned(),
    }
}

fn pair(attribute: KeyValue) -> Option<(String, Value)> {
    match attribute.value {
        Some(AnyValue { value: Some(value) }) => Some((attribute.key, value)),
        _ => None,
    }
}
