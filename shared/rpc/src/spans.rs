//! Spans of calls, as OpenTelemetry's semantic conventions for RPC name things (version 1.45).
//!
//! Sizes are those of messages, without their prefix of 5 bytes. What HTTP/2 adds cannot be told call by call: it packs headers by
//! what it sent before, and puts frames of several calls into one write. It is counted connection by connection instead
//! (`rpc_client_sent_bytes_total`, `rpc_client_received_bytes_total`): with one call at a time the difference is the call's.
//! Numbers are recorded as `i64`: of other integers the OpenTelemetry layer makes text.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry::trace::TraceContextExt as _;
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use web::{Attempt, RequestContext};

use crate::code::Code;
use crate::method::Method;
use crate::refusal::Refusal;
use crate::wire::PREFIX_BYTES;

/// The longest value of a header that is passed on from a trace, in bytes. A `tracestate` of a stranger could otherwise take the
/// room of the whole list, and the connection with it.
const TRACE_BYTES_MAX: usize = 1024;

/// The span of one attempt; none in a trace that is not recorded.
pub(crate) fn client(method: &Method, peer: &str, framed: &Bytes) -> Span {
    if is_left_out(&Span::current()) {
        return Span::none();
    }
    tracing::info_span!(
        "call",
        otel.name = method.full_name(),
        otel.kind = "client",
        otel.status_code = Empty,
        rpc.system.name = "grpc",
        rpc.method = method.full_name(),
        rpc.response.status_code = Empty,
        rpc.request.size = size(framed.len() - PREFIX_BYTES),
        rpc.response.size = Empty,
        server.address = Empty,
        server.port = Empty,
        service.peer.name = peer,
        "error.type" = Empty,
    )
}

/// Whether `span` is part of a trace that is not recorded.
fn is_left_out(span: &Span) -> bool {
    let context = span.context();
    let context = context.span().span_context().clone();
    context.is_valid() && !context.is_sampled()
}

/// Records which instance a call went to.
pub(crate) fn record_instance(span: &Span, address: SocketAddr) {
    span.record("server.address", address.ip().to_string());
    span.record("server.port", i64::from(address.port()));
}

/// Records what came of an attempt. Returns it as a word, for a label.
pub(crate) fn record_attempt(span: &Span, attempt: &Attempt<Result<Bytes, Refusal>>) -> &'static str {
    let answer = match attempt {
        Attempt::Answered(answer) | Attempt::ComeAgain(answer) | Attempt::Broken(answer) => answer,
        Attempt::Unreachable(_) => return record_error(span, "unreachable"),
        Attempt::Lost(_) | Attempt::LostWithAnInstance(_) | Attempt::TimedOut(_) => {
            return record_error(span, "unanswered");
        }
    };
    match answer {
        Ok(message) => {
            span.record("rpc.response.status_code", Code::Ok.name());
            span.record("rpc.response.size", size(message.len()));
            Code::Ok.name()
        }
        // For its client a refusal is an error too.
        Err(refusal) => {
            span.record("rpc.response.status_code", refusal.code.name());
            record_error(span, refusal.code.name())
        }
    }
}

/// The span of a call that is answered, as a part of its caller's trace.
pub(crate) fn server(method: &'static str, headers: &HeaderMap, context: &RequestContext) -> Span {
    let span = tracing::info_span!(
        "request",
        otel.name = method,
        otel.kind = "server",
        otel.status_code = Empty,
        rpc.system.name = "grpc",
        rpc.method = method,
        rpc.response.status_code = Empty,
        rpc.request.size = Empty,
        rpc.response.size = Empty,
        "error.type" = Empty,
        request_id = context.id,
        trace_id = Empty,
    );
    let parent = opentelemetry::global::get_text_map_propagator(|w3c| w3c.extract(&Carrier(headers)));
    // Fails only where no OpenTelemetry layer is installed, as in unit tests.
    let _ = span.set_parent(parent);
    span.record("trace_id", span.context().span().span_context().trace_id().to_string());
    span
}

/// Records the sizes of a request, or of a response.
pub(crate) fn record_size(span: &Span, field: &'static str, bytes: usize) {
    span.record(field, size(bytes));
}

/// Records with which status a call was answered. Only these are faults of the server.
pub(crate) fn record_status(span: &Span, code: Code) -> bool {
    span.record("rpc.response.status_code", code.name());
    let is_fault = matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    );
    if is_fault {
        record_error(span, code.name());
    }
    is_fault
}

/// Writes the W3C trace context of `span` into `headers`.
pub(crate) fn inject(span: &Span, headers: &mut HeaderMap) {
    opentelemetry::global::get_text_map_propagator(|w3c| {
        w3c.inject_context(&span.context(), &mut CarrierMut(headers));
    });
}

fn record_error(span: &Span, kind: &'static str) -> &'static str {
    span.record("error.type", kind);
    span.record("otel.status_code", "ERROR");
    kind
}

fn size(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

struct Carrier<'a>(&'a HeaderMap);

impl Extractor for Carrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct CarrierMut<'a>(&'a mut HeaderMap);

impl Injector for CarrierMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        if value.len() > TRACE_BYTES_MAX {
            return;
        }
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_state_that_a_stranger_made_long_is_not_passed_on() {
        let mut headers = HeaderMap::new();
        for (name, bytes) in [("short", 500), ("long", 8 * 1024)] {
            CarrierMut(&mut headers).set(name, "x".repeat(bytes));
        }
        assert!(headers.contains_key("short") && !headers.contains_key("long"));
    }
}
