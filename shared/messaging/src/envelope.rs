//! The envelope: `CloudEvents` 1.0 in Kafka's binary binding, where the context attributes are headers beside the body.

use std::borrow::Cow;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
use rdkafka::Message;
use rdkafka::message::{Header, Headers, OwnedHeaders};
use uuid::Uuid;

use crate::arrived::{Arrived, EnvelopeError, PREFIX};

/// The namespace of the names that events without a UUID get. Part of what inboxes remember: never change it.
const FOREIGN: Uuid = Uuid::from_u128(0x2f1c_7a5e_93d4_4b0a_8a6e_5d0b_c41f_7e92);

/// The context attributes of `CloudEvents`, required and extended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// `ce_id`: names this message, however often it is delivered. A UUID of version 7 if it is ours; any text if somebody else
    /// says it, and then unique only together with the source.
    pub id: String,
    /// `ce_source`: who says it.
    pub source: String,
    /// `ce_type`: what it is.
    pub kind: String,
    /// `ce_time`: when it was said, which not everybody tells.
    pub time: Option<DateTime<Utc>>,
    /// `ce_subject`: what it is about, such as `order/7`.
    pub subject: Option<String>,
    /// `ce_correlationid`: the request that started it all.
    pub correlation_id: Uuid,
    /// `ce_causationid`: the message that caused this one.
    pub causation_id: Option<String>,
    /// `ce_aggregateversion`: which version of its subject it tells about.
    pub aggregate_version: Option<i64>,
    /// `ce_replyto`: the topic, by its whole name, on which a command is to be answered.
    pub reply_to: Option<String>,
    /// `traceparent`: the W3C trace context.
    pub traceparent: Option<String>,
}

impl Metadata {
    /// The envelope of `message`.
    ///
    /// # Errors
    /// Names what is missing or wrong.
    pub fn of<H: Headers>(message: &impl Message<Headers = H>) -> Result<Self, EnvelopeError> {
        Self::read(&Arrived::read(message)?)
    }

    pub(crate) fn read(arrived: &Arrived<'_, impl Headers>) -> Result<Self, EnvelopeError> {
        if arrived.required("specversion")? != "1.0" {
            return Err(arrived.invalid("specversion"));
        }
        let text = |attribute| Ok(arrived.text(attribute)?.map(Cow::into_owned));
        Ok(Self {
            id: arrived.required("id")?.into_owned(),
            source: arrived.required("source")?.into_owned(),
            kind: arrived.required("type")?.into_owned(),
            time: text("time")?.map(|time| parse(arrived, "time", &time)).transpose()?,
            subject: text("subject")?,
            correlation_id: parse(arrived, "correlationid", &arrived.required("correlationid")?)?,
            causation_id: arrived.extension("causationid"),
            aggregate_version: arrived.extension("aggregateversion").and_then(|version| version.parse().ok()),
            reply_to: arrived.extension("replyto"),
            traceparent: arrived.traceparent(),
        })
    }

    /// What the inbox knows this message by: its id if that is a UUID, else a name-based UUID of source and id.
    pub fn inbox_key(&self) -> Uuid {
        // No attribute has a line break, so two pairs are never the same text.
        let name = || format!("{}\n{}", self.source, self.id);
        uuid_of(&self.id).unwrap_or_else(|| Uuid::new_v5(&FOREIGN, name().as_bytes()))
    }

    /// The headers that this envelope is.
    pub fn to_headers(&self) -> OwnedHeaders {
        let mut headers = OwnedHeaders::new_with_capacity(12)
            .insert(Header { key: "content-type", value: Some("application/json") });
        for (name, value) in [
            ("specversion", Some("1.0".to_owned())),
            ("id", Some(self.id.clone())),
            ("source", Some(self.source.clone())),
            ("type", Some(self.kind.clone())),
            ("time", self.time.map(|time| time.to_rfc3339_opts(SecondsFormat::Micros, true))),
            ("subject", self.subject.clone()),
            ("correlationid", Some(self.correlation_id.to_string())),
            ("causationid", self.causation_id.clone()),
            ("aggregateversion", self.aggregate_version.map(|version| version.to_string())),
            ("replyto", self.reply_to.clone()),
        ] {
            if let Some(value) = value {
                headers = headers.insert(Header { key: &format!("{PREFIX}{name}"), value: Some(&value) });
            }
        }
        match &self.traceparent {
            Some(traceparent) => headers.insert(Header { key: "traceparent", value: Some(traceparent) }),
            None => headers,
        }
    }
}

/// The UUID that `id` is, in the one form in which it is written as this text again: two texts are two ids.
pub(crate) fn uuid_of(id: &str) -> Option<Uuid> {
    Uuid::try_parse(id).ok().filter(|uuid| uuid.hyphenated().to_string() == id)
}

fn parse<T: FromStr>(
    arrived: &Arrived<'_, impl Headers>,
    attribute: &str,
    text: &str,
) -> Result<T, EnvelopeError> {
    text.parse().map_err(|_| arrived.invalid(attribute))
}

#[cfg(test)]
mod tests {
    use rdkafka::Timestamp;
    use rdkafka::message::OwnedMessage;
    use serde_json::json;

    use super::*;

    fn envelope() -> Metadata {
        Metadata {
            id: Uuid::now_v7().to_string(),
            source: "/order".to_owned(),
            kind: "OrderProcessed".to_owned(),
            time: Some("2026-01-02T03:04:05.678901Z".parse().unwrap()),
            subject: Some("order/7".to_owned()),
            correlation_id: Uuid::now_v7(),
            causation_id: Some("any text".to_owned()),
            aggregate_version: Some(2),
            reply_to: Some("order-updates".to_owned()),
            traceparent: None,
        }
    }

    fn message(headers: OwnedHeaders, value: &[u8]) -> OwnedMessage {
        let value = Some(value.to_vec());
        OwnedMessage::new(value, None, "orders".to_owned(), Timestamp::NotAvailable, 0, 0, Some(headers))
    }

    /// The envelope of `headers` over a value that says nothing.
    fn of(headers: OwnedHeaders) -> Result<Metadata, EnvelopeError> {
        Metadata::of(&message(headers, b"{}"))
    }

    /// The same in structured mode.
    fn of_whole(event: &serde_json::Value) -> Result<Metadata, EnvelopeError> {
        let headers = OwnedHeaders::new();
        let content_type =
            Header { key: "Content-Type", value: Some("Application/CloudEvents+JSON; charset=UTF-8") };
        Metadata::of(&message(headers.insert(content_type), event.to_string().as_bytes()))
    }

    fn whole() -> serde_json::Value {
        json!({
            "specversion": "1.0",
            "id": "7",
            "source": "urn:shop",
            "type": "OrderCreationRequested",
            "correlationid": "01890a5d-ac96-774b-bcce-b302099a8057"
        })
    }

    #[test]
    fn an_envelope_survives_the_headers() {
        let envelope = envelope();
        assert_eq!(of(envelope.to_headers()).unwrap(), envelope);
    }

    #[test]
    fn a_header_that_is_missing_or_wrong_is_named() {
        let without = |name: &str| {
            let all = envelope().to_headers();
            let kept = all.iter().filter(|header| header.key != name);
            kept.fold(OwnedHeaders::new(), |headers, header| headers.insert(header))
        };
        for name in ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_correlationid"] {
            let error = of(without(name)).unwrap_err();
            assert_eq!(error.to_string(), format!("the header {name} is missing"));
        }
        for (name, value) in [
            ("ce_specversion", "0.3"),
            ("ce_id", ""),
            ("ce_id", "7\0"),
            ("ce_source", ""),
            ("ce_type", ""),
            ("ce_time", "noon"),
            ("ce_correlationid", "7"),
        ] {
            let error = of(without(name).insert(Header { key: name, value: Some(value) })).unwrap_err();
            assert_eq!(error.to_string(), format!("the header {name} cannot be understood"));
        }
    }

    #[test]
    fn the_names_of_headers_count_in_any_case_and_what_is_optional_may_be_missing() {
        let headers =
            [("CE_SpecVersion", "1.0"), ("Ce_Id", "7"), ("ce_SOURCE", "urn:shop"), ("ce_Type", "Any")];
        let correlation = ("Ce_CorrelationId", "01890a5d-ac96-774b-bcce-b302099a8057");
        let headers =
            headers.into_iter().chain([correlation]).fold(OwnedHeaders::new(), |headers, (key, value)| {
                headers.insert(Header { key, value: Some(value) })
            });
        let read = of(headers).unwrap();
        assert_eq!((&*read.id, &*read.source, read.time, read.subject), ("7", "urn:shop", None, None));
    }

    #[test]
    fn an_event_in_one_piece_has_its_attributes_in_its_value() {
        let mut event = whole();
        event["time"] = "2026-01-02T03:04:05+01:00".into();
        event["aggregateversion"] = 3.into();
        event["subject"] = serde_json::Value::Null;
        event["traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into();
        let read = of_whole(&event).unwrap();
        assert_eq!((&*read.id, &*read.source, &*read.kind), ("7", "urn:shop", "OrderCreationRequested"));
        assert_eq!(read.time, Some("2026-01-02T02:04:05Z".parse().unwrap()));
        assert_eq!((read.subject, read.aggregate_version), (None, Some(3)));
        assert!(read.traceparent.unwrap().ends_with("331-01"));
        event["aggregateversion"] = "4".into();
        assert_eq!(of_whole(&event).unwrap().aggregate_version, Some(4));
    }

    #[test]
    fn what_others_mean_by_the_names_of_our_extensions_is_passed_over() {
        let mut event = whole();
        event["aggregateversion"] = "two".into();
        event["causationid"] = serde_json::Value::Bool(true);
        let read = of_whole(&event).unwrap();
        assert_eq!((read.aggregate_version, read.causation_id), (None, None));
        event["causationid"] = 7.into();
        assert_eq!(of_whole(&event).unwrap().causation_id.as_deref(), Some("7"));
    }

    #[test]
    fn an_attribute_that_is_missing_or_wrong_is_named() {
        for name in ["specversion", "id", "source", "type", "correlationid"] {
            let mut event = whole();
            event[name] = serde_json::Value::Null;
            assert_eq!(of_whole(&event).unwrap_err().to_string(), format!("the attribute {name} is missing"));
            event[name] = 7.into();
            let error = of_whole(&event).unwrap_err().to_string();
            assert_eq!(error, format!("the attribute {name} cannot be understood"));
        }
    }

    #[test]
    fn an_inbox_knows_a_uuid_by_itself_and_any_other_id_by_a_name_of_source_and_id() {
        let said = |source: &str, id: &str| {
            let (source, id) = (source.to_owned(), id.to_owned());
            Metadata { id, source, ..envelope() }.inbox_key()
        };
        let uuid = "01890a5d-ac96-774b-bcce-b302099a8057";
        assert_eq!(said("/order", uuid).to_string(), uuid);
        let all = [
            said("/order", uuid),
            said("/order", &uuid.to_uppercase()),
            said("/order", &uuid.replace('-', "")),
            said("/order", "7"),
            said("/billing", "7"),
            said("/orde", "r7"),
        ];
        for (i, one) in all.iter().enumerate() {
            assert!(!all[i + 1..].contains(one), "{all:?}");
        }
        // What inboxes have stored.
        assert_eq!(said("urn:shop", "7").to_string(), "fa006015-5574-5caa-8ec5-fdce290fa709");
    }
}
