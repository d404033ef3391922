//! A trace as figures of the report: what a sequence diagram is drawn from.

use std::collections::HashMap;

use lab::traces::{Span, SpanKind, Trace};

use super::SpanFigures;

/// The spans of `trace` in the order in which they began, with times from the beginning of the first.
pub fn of(trace: &Trace) -> Vec<SpanFigures> {
    let begun_at_ns = trace.spans.iter().map(|span| span.started_at_ns).min().unwrap_or(0);
    let by_id: HashMap<u64, &Span> = trace.spans.iter().map(|span| (span.id, span)).collect();
    let mut spans: Vec<&Span> = trace.spans.iter().collect();
    spans.sort_by_key(|span| (span.started_at_ns, span.ended_at_ns));
    let figures = |span: &Span| SpanFigures {
        id: format!("{:016x}", span.id),
        parent: by_id.contains_key(&span.parent).then(|| format!("{:016x}", span.parent)),
        service: span.service.clone(),
        kind: kind(span.kind).to_owned(),
        name: span.name.clone(),
        started_after_ms: milliseconds(span.started_at_ns - begun_at_ns),
        took_ms: milliseconds(span.ended_at_ns.saturating_sub(span.started_at_ns)),
        peer: peer(span, by_id.get(&span.parent).copied()),
        status: span.integer("http.response.status_code").and_then(|status| status.try_into().ok()),
    };
    spans.into_iter().map(figures).collect()
}

fn kind(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Client => "client",
        SpanKind::Server => "server",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
        SpanKind::Internal | SpanKind::Unspecified => "internal",
    }
}

/// Who or what is at the other end: the service that is called or that calls, the topic without what the deployment puts before
/// its name, or the protocol of a server that is no service of ours.
fn peer(span: &Span, parent: Option<&Span>) -> Option<String> {
    let topic = span.text("messaging.destination.name");
    let topic = topic.map(|name| name.rsplit('.').next().unwrap_or(name));
    let peer = match span.kind {
        SpanKind::Server => parent.map_or("client", |parent| parent.service.as_str()),
        _ => {
            topic.or_else(|| span.text("service.peer.name")).or_else(|| span.text("network.protocol.name"))?
        }
    };
    Some(peer.to_owned())
}

#[allow(clippy::cast_precision_loss, reason = "a trace is no month long")]
fn milliseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}
