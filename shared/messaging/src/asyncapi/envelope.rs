//! The envelope as a schema: what is in the headers of what a service says, and what has to be in those, or in the value, of what
//! it hears, from whomever. What `crate::envelope` writes and reads.

use serde_json::{Value, json};

/// The headers of what is said.
const SAID: &str = "CloudEvent";
/// The headers of what is accepted in binary mode.
const ACCEPTED: &str = "AcceptedHeaders";
/// What is accepted in structured mode.
pub(super) const ACCEPTED_WHOLE: &str = "AcceptedEvent";
/// The content type of an event in structured mode.
pub(super) const STRUCTURED: &str = "application/cloudevents+json";
/// Where a command says on which topic it is answered.
pub(super) const REPLY_ADDRESS: &str = "$message.header#/ce_replyto";
/// Where the correlation id of such an event is.
pub(super) const STRUCTURED_CORRELATION: &str = "$message.payload#/correlationid";

/// The schemas of headers that messages refer to, by name.
pub(super) fn of_headers(says: bool, hears: bool) -> Vec<(&'static str, Value)> {
    let mut schemas = Vec::new();
    if says {
        schemas.push((SAID, said()));
    }
    if hears {
        let about = "CloudEvents 1.0 in Kafka's binary binding, said by whomever. The names of headers count in any case; what other headers say is not looked at.";
        schemas.push((ACCEPTED, accepted("ce_", about)));
    }
    schemas
}

/// What a whole event has.
pub(super) fn accepted_whole() -> Value {
    let about = "An event of CloudEvents 1.0 in JSON, said by whomever. `data_base64` may stand for `data`; what other attributes say is not looked at.";
    accepted("", about)
}

/// The headers that everything has that is said.
fn said() -> Value {
    let uuid = |what| json!({"type": "string", "format": "uuid", "description": what});
    json!({
        "type": "object",
        "description": "CloudEvents 1.0 in Kafka's binary binding. Every header is UTF-8 text.",
        "properties": {
            "content-type": {"type": "string", "enum": ["application/json"]},
            "ce_specversion": {"type": "string", "enum": ["1.0"]},
            "ce_id": uuid("Names this message (UUIDv7), however often it is delivered."),
            "ce_source": {"type": "string", "format": "uri-reference", "description": "The service that says it."},
            "ce_type": {"type": "string", "description": "What it is."},
            "ce_time": {"type": "string", "format": "date-time", "description": "When it was said."},
            "ce_subject": {"type": "string", "minLength": 1, "description": "What it is about.", "examples": ["order/7"]},
            "ce_correlationid": uuid("The request that started it all."),
            "ce_causationid": {
                "type": "string",
                "minLength": 1,
                "description": "The id of the message that caused this one; absent when a client did."
            },
            "ce_aggregateversion": {
                "type": "string",
                "pattern": "^[1-9][0-9]*$",
                "description": "Which version of its subject it tells about, where that has versions."
            },
            "traceparent": traceparent()
        },
        "required": [
            "content-type", "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_subject",
            "ce_correlationid"
        ]
    })
}

fn traceparent() -> Value {
    json!({
        "type": "string",
        "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
        "description": "W3C trace context."
    })
}

/// What is looked at of what is heard: attributes whose names begin with `prefix`.
fn accepted(prefix: &str, about: &str) -> Value {
    let text = |what| json!({"type": "string", "minLength": 1, "description": what});
    let mut properties = json!({
        "specversion": {"type": "string", "enum": ["1.0"]},
        "id": text("Names this message, together with its source: any text. One that comes again has no second effect."),
        "source": {"type": "string", "format": "uri-reference", "minLength": 1, "description": "Who says it."},
        "type": text("What it is."),
        "time": {"type": "string", "format": "date-time", "description": "When it was said."},
        "subject": text("What it is about."),
        "correlationid": {
            "type": "string",
            "format": "uuid",
            "description": "The request: the answer has it too. Another request has another one; the same one again is a repeat."
        },
        "causationid": text("The id of the message that caused this one."),
    });
    let properties = properties.as_object_mut().into_iter().flat_map(std::mem::take);
    let mut properties: serde_json::Map<String, Value> =
        properties.map(|(name, schema)| (format!("{prefix}{name}"), schema)).collect();
    properties.insert("traceparent".to_owned(), traceparent());
    let required = ["specversion", "id", "source", "type", "correlationid"].map(|it| format!("{prefix}{it}"));
    json!({"type": "object", "description": about, "properties": properties, "required": required})
}

/// The headers of messages of type `kind` that one of `sources` says, commands that are answered or others.
pub(super) fn headers(kind: &str, sources: &[String], is_answered: bool) -> Value {
    let headers = json!({
        "type": "object",
        "allOf": [reference(SAID)],
        "properties": {"ce_type": {"enum": [kind]}, "ce_source": {"enum": sources}}
    });
    if is_answered { with_return_address(headers, "ce_replyto") } else { headers }
}

/// The headers of messages of type `kind` that are accepted from anybody.
pub(super) fn accepted_headers(kind: &str, is_answered: bool) -> Value {
    let headers = json!({"type": "object", "allOf": [reference(ACCEPTED)], "properties": {"ce_type": {"enum": [kind]}}});
    if is_answered { with_return_address(headers, "ce_replyto") } else { headers }
}

/// `attributes` of a command, with the one called `name` that says where it is answered.
fn with_return_address(mut attributes: Value, name: &str) -> Value {
    attributes["properties"][name] = json!({
        "type": "string",
        "minLength": 1,
        "description": "The topic on which the command is answered, by its whole name: where `KAFKA_PREFIX` is set, it starts with that. It exists, and is not the one that the command is on."
    });
    let required = attributes["required"].as_array().cloned().unwrap_or_default();
    attributes["required"] = required.into_iter().chain([name.into()]).collect();
    attributes
}

/// The headers of an event in structured mode.
pub(super) fn structured_headers() -> Value {
    json!({
        "type": "object",
        "properties": {"content-type": {"type": "string", "pattern": "^application/cloudevents\\+json(;.*)?$"}},
        "required": ["content-type"]
    })
}

/// A whole event of type `kind` that is accepted from anybody; `data` is the schema of what it says.
pub(super) fn structured_payload(kind: &str, data: &Value, is_answered: bool) -> Value {
    let event = json!({
        "type": "object",
        "allOf": [reference(ACCEPTED_WHOLE)],
        "properties": {"type": {"enum": [kind]}, "data": data},
        "required": ["data"]
    });
    if is_answered { with_return_address(event, "replyto") } else { event }
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
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
        let text = || Some("x".to_owned());
        let full = Metadata {
            id: Uuid::now_v7().to_string(),
            source: "/order".to_owned(),
            kind: "OrderProcessed".to_owned(),
            time: Some(Utc::now()),
            subject: text(),
            correlation_id: Uuid::now_v7(),
            causation_id: text(),
            aggregate_version: Some(1),
            reply_to: None,
            traceparent: text(),
        };
        // What is optional to a reader; a sender always has a subject.
        let least =
            Metadata { causation_id: None, aggregate_version: None, traceparent: None, ..full.clone() };
        let command = Metadata { reply_to: text(), ..full.clone() };
        let written = |envelope: &Metadata| -> BTreeSet<String> {
            envelope.to_headers().iter().map(|header| header.key.to_owned()).collect()
        };
        let schema = said();
        let known: BTreeSet<String> =
            schema["properties"].as_object().unwrap().keys().map(ToOwned::to_owned).collect();
        let required: BTreeSet<String> = serde_json::from_value(schema["required"].clone()).unwrap();
        assert_eq!(known, written(&full));
        assert_eq!(required, written(&least));
        // A command has one more, and always.
        let more = headers("WithdrawMoney", &[], true);
        let names = more["properties"].as_object().unwrap().keys().cloned();
        assert_eq!(known.into_iter().chain(names).collect::<BTreeSet<_>>(), written(&command));
        assert_eq!(more["required"], json!(["ce_replyto"]));
    }
}
