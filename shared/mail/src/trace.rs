//! The W3C trace context of an email: who stores one notes the trace that it belongs to, and its sending goes on with that.

use std::collections::HashMap;

use opentelemetry::global::get_text_map_propagator;
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::delivery::Delivery;
use crate::queue::QueuedEmail;
use crate::server::Server;

/// The trace context of what is done right now, as a `traceparent`, to be stored with an email; `None` without a tracer.
pub fn traceparent() -> Option<String> {
    let mut carrier = HashMap::new();
    get_text_map_propagator(|w3c| w3c.inject_context(&Span::current().context(), &mut carrier));
    carrier.remove("traceparent")
}

/// A span for one attempt to send `email`. Its parent is the work that stored it. For SMTP, OpenTelemetry's semantic
/// conventions have only the general names.
pub(crate) fn send_span(email: &QueuedEmail, server: &Server) -> Span {
    let span = tracing::info_span!(
        "send_email",
        otel.name = "send email",
        otel.kind = "client",
        otel.status_code = Empty,
        network.protocol.name = "smtp",
        server.address = server.host,
        server.port = i64::from(server.port),
        email.message_id = email.message_id,
        "error.type" = Empty,
    );
    if let Some(parent) = &email.traceparent {
        let carrier = HashMap::from([("traceparent".to_owned(), parent.clone())]);
        // Fails only where no OpenTelemetry layer is installed, as in unit tests.
        let _ = span.set_parent(get_text_map_propagator(|w3c| w3c.extract(&carrier)));
    }
    span
}

/// Records what came of it.
pub(crate) fn record_outcome(span: &Span, delivery: &Delivery) {
    let error = match delivery {
        Delivery::Accepted => return,
        Delivery::Refused { .. } => "refused",
        Delivery::Deferred { .. } => "deferred",
        Delivery::Unknown { .. } => "unknown",
    };
    span.record("error.type", error);
    span.record("otel.status_code", "ERROR");
}
