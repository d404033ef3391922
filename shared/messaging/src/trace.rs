//! The W3C trace context in a message's `traceparent`, and the spans of sending and handling a message, as OpenTelemetry's
//! semantic conventions for messaging name them.

use std::collections::HashMap;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::envelope::Metadata;

/// `span`'s trace context as a `traceparent`; `None` without a tracer.
pub(crate) fn traceparent(span: &Span) -> Option<String> {
    let mut carrier = HashMap::new();
    opentelemetry::global::get_text_map_propagator(|w3c| w3c.inject_context(&span.context(), &mut carrier));
    carrier.remove("traceparent")
}

/// The trace context that a `traceparent` is.
fn context(traceparent: Option<&str>) -> Context {
    let carrier: HashMap<String, String> =
        traceparent.map(|value| ("traceparent".to_owned(), value.to_owned())).into_iter().collect();
    opentelemetry::global::get_text_map_propagator(|w3c| w3c.extract(&carrier))
}

/// A span for sending the message `metadata` describes to `topic`; none in a trace that is not recorded. Its parent is the work
/// that said it.
pub(crate) fn send_span(metadata: &Metadata, topic: &str, body_bytes: usize) -> Span {
    let parent = context(metadata.traceparent.as_deref());
    let said_by = parent.span().span_context().clone();
    if said_by.is_valid() && !said_by.is_sampled() {
        return Span::none();
    }
    // An integer to OpenTelemetry; a `usize` would be told as text.
    let body_bytes = i64::try_from(body_bytes).unwrap_or(i64::MAX);
    let span = tracing::info_span!(
        "send",
        otel.name = format!("send {}", metadata.kind),
        otel.kind = "producer",
        messaging.system = "kafka",
        messaging.operation.type = "send",
        messaging.operation.name = "send",
        messaging.destination.name = topic,
        messaging.message.id = %metadata.id,
        messaging.message.conversation_id = %metadata.correlation_id,
        messaging.message.body.size = body_bytes,
        messaging.message.envelope.size = Empty,
        cloudevents.event_type = metadata.kind,
    );
    if said_by.is_valid() {
        // Fails only where no OpenTelemetry layer is installed, as in unit tests.
        let _ = span.set_parent(parent);
    }
    span
}

/// Links the spans of messages that are handled in one transaction: each to the first of them. Where they were sent from is
/// their parent already.
pub(crate) fn link_batch<'a>(mut spans: impl Iterator<Item = &'a Span>) {
    let Some(first) = spans.next() else { return };
    let first = first.context().span().span_context().clone();
    if first.is_sampled() {
        spans.for_each(|span| span.add_link(first.clone()));
    }
}

/// A span for handling a message of `topic` in `consumer`. Its parent is the message's sending.
pub(crate) fn process_span(metadata: &Metadata, topic: &str, consumer: &'static str) -> Span {
    let span = tracing::info_span!(
        "process",
        otel.name = format!("process {}", metadata.kind),
        otel.kind = "consumer",
        messaging.system = "kafka",
        messaging.operation.type = "process",
        messaging.operation.name = "process",
        messaging.destination.name = topic,
        messaging.consumer.group.name = consumer,
        messaging.message.id = %metadata.id,
        messaging.message.conversation_id = %metadata.correlation_id,
        cloudevents.event_type = metadata.kind,
        trace_id = Empty,
    );
    let _ = span.set_parent(context(metadata.traceparent.as_deref()));
    span.record("trace_id", span.context().span().span_context().trace_id().to_string());
    span
}
