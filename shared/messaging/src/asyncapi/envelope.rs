//! The envelope as a schema: which headers a message has, and what they say. What `crate::envelope` reads and writes.

use serde_json::{Value, json};

/// Under which name the documents have the headers that all messages have.
pub(super) const NAME: &str = "CloudEvent";

/// The headers that all messages have.
pub(super) fn schema() -> Value {
    let uuid = |what| json!({"type": "string", "format": "uuid", "description": what});
    json!({
        "type": "object",
        "description": "CloudEvents 1.0 in Kafka's binary binding. Every header is UTF-8 text.",
        "properties": {
            "content-type": {"type": "string", "const": "application/json"},
            "ce_specversion": {"type": "string", "const": "1.0"},
            "ce_id": uuid("Names this message (UUIDv7), however often it is delivered."),
            "ce_source": {"type": "string", "format": "uri-reference", "description": "The service that says it."},
            "ce_type": {"type": "string", "description": "What it is."},
            "ce_time": {"type": "string", "format": "date-time", "description": "When it was said."},
            "ce_subject": {"type": "string", "minLength": 1, "description": "What it is about.", "examples": ["order/7"]},
            "ce_correlationid": uuid("The request that started it all."),
            "ce_causationid": uuid("The message that caused this one; absent when a client did."),
            "ce_aggregateversion": {
                "type": "string",
                "pattern": "^[1-9][0-9]*$",
                "description": "Which version of its subject it tells about, where that has versions."
            },
            "traceparent": {
                "type": "string",
                "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
                "description": "W3C trace context."
            }
        },
        "required": [
            "content-type", "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_subject",
            "ce_correlationid"
        ]
    })
}

/// The headers of messages of type `kind` that one of `sources` says.
pub(super) fn headers(kind: &str, sources: &[String]) -> Value {
    json!({
        "type": "object",
        "allOf": [{"$ref": format!("#/components/schemas/{NAME}")}],
        "properties": {"ce_type": {"const": kind}, "ce_source": {"enum": sources}}
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chrono::Utc;
    use rdkafka::message::Headers as _;
    use uuid::Uuid;

    use super::*;
    use crate::envelope::Metadata;

    #[test]
    fn the_schema_knows_the_headers_that_are_written_and_no_others() {
        let (id, text) = (Uuid::now_v7(), || Some("x".to_owned()));
        let full = Metadata {
            id,
            source: "/order".to_owned(),
            kind: "OrderProcessed".to_owned(),
            time: Utc::now(),
            subject: text(),
            correlation_id: id,
            causation_id: Some(id),
            aggregate_version: Some(1),
            traceparent: text(),
        };
        // What is optional to a reader; a sender always has a subject.
        let least =
            Metadata { causation_id: None, aggregate_version: None, traceparent: None, ..full.clone() };
        let written = |envelope: &Metadata| -> BTreeSet<String> {
            envelope.to_headers().iter().map(|header| header.key.to_owned()).collect()
        };
        let schema = schema();
        let known: BTreeSet<String> =
            schema["properties"].as_object().unwrap().keys().map(ToOwned::to_owned).collect();
        let required: BTreeSet<String> = serde_json::from_value(schema["required"].clone()).unwrap();
        assert_eq!(known, written(&full));
        assert_eq!(required, written(&least));
    }
}
