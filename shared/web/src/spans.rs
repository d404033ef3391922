//! Spans of requests and calls, as OpenTelemetry's semantic conventions for HTTP name things.
//!
//! Sizes are those of HTTP/1.1 on the wire: a body is its bytes, without the framing of chunks; a whole message is its start
//! line, its headers with their separators and line ends, the empty line, and the body.
//! Numbers are recorded as `i64`: of other integers the OpenTelemetry layer makes text.

use axum::body::Bytes;
use http::{HeaderMap, StatusCode};
use opentelemetry::trace::TraceContextExt as _;
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use url::Url;

use crate::{Answer, Call, PeerError};

/// Paths that are asked for all the time and say nothing of what the system does: no span is made for them.
pub(crate) const PROBES: [&str; 3] = ["/health", "/ready", "/metrics"];

/// The span of one attempt of `call`; none for a probe, nor in a trace that is not recorded.
pub(crate) fn client(call: &Call, peer: &str, base: &Url) -> Span {
    let path = call.path.split('?').next().unwrap_or_default();
    if PROBES.contains(&path) || is_left_out(&Span::current()) {
        return Span::none();
    }
    tracing::info_span!(
        "call",
        otel.name = format!("{} {peer}", call.method),
        otel.kind = "client",
        otel.status_code = Empty,
        http.request.method = %call.method,
        server.address = base.host_str(),
        server.port = base.port_or_known_default().map(i64::from),
        service.peer.name = peer,
        url.scheme = base.scheme(),
        url.path = path,
        "error.type" = Empty,
        http.request.body.size = Empty,
        http.request.size = Empty,
        http.response.status_code = Empty,
        http.response.body.size = Empty,
        http.response.size = Empty,
    )
}

/// Whether `span` is part of a trace that is not recorded.
fn is_left_out(span: &Span) -> bool {
    let context = span.context();
    let context = context.span().span_context().clone();
    context.is_valid() && !context.is_sampled()
}

/// Records the size of a request for `target` that is sent with `headers`.
pub(crate) fn record_request(span: &Span, call: &Call, target: &str, headers: &HeaderMap) {
    let line = call.method.as_str().len() + 1 + target.len() + " HTTP/1.1\r\n".len();
    let body = call.body.as_ref().map_or(0, Bytes::len);
    // Written by the client library.
    let length = if body > 0 { "content-length: \r\n".len() + body.to_string().len() } else { 0 };
    span.record("http.request.body.size", size(body));
    span.record("http.request.size", size(line + length + serialized(headers) + body));
}

/// Records what came of a call.
pub(crate) fn record_outcome(span: &Span, outcome: Result<&Answer, &PeerError>) {
    let answer = match outcome {
        Ok(answer) => answer,
        Err(error) => return record_error(span, error.kind()),
    };
    let line = "HTTP/1.1 200 \r\n".len() + answer.status.canonical_reason().unwrap_or_default().len();
    span.record("http.response.status_code", i64::from(answer.status.as_u16()));
    span.record("http.response.body.size", size(answer.body.len()));
    span.record("http.response.size", size(line + serialized(&answer.headers) + answer.body.len()));
    // For its client a refusal is an error too.
    if answer.status.is_client_error() || answer.status.is_server_error() {
        record_error(span, answer.status.as_str());
    }
}

/// Records the status of an answer that is given.
pub(crate) fn record_status(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        record_error(span, status.as_str());
    }
}

fn record_error(span: &Span, kind: &str) {
    span.record("error.type", kind);
    span.record("otel.status_code", "ERROR");
}

/// Headers as HTTP/1.1 writes them, with the empty line that ends them.
fn serialized(headers: &HeaderMap) -> usize {
    let fields = headers.iter().map(|(name, value)| name.as_str().len() + ": \r\n".len() + value.len());
    fields.sum::<usize>() + "\r\n".len()
}

fn size(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_counted_as_they_are_written() {
        let mut headers = HeaderMap::new();
        headers.insert("host", "peer:8080".parse().unwrap());
        headers.append("accept", "*/*".parse().unwrap());
        headers.append("accept", "text/plain".parse().unwrap());
        let written = "host: peer:8080\r\naccept: */*\r\naccept: text/plain\r\n\r\n";
        assert_eq!(serialized(&headers), written.len());
    }
}
