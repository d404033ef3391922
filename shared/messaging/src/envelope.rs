//! The envelope: `CloudEvents` 1.0 in Kafka's binary binding, where the context attributes are headers beside the body.

use std::str::FromStr;

use chrono::{DateTime, SecondsFormat, Utc};
use rdkafka::message::{Header, OwnedHeaders};
use uuid::Uuid;

/// The prefix of every attribute, as the binding has it.
const PREFIX: &str = "ce_";

/// The context attributes of `CloudEvents`, required and extended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// `ce_id`: names this message, however often it is delivered.
    pub id: Uuid,
    /// `ce_source`: who says it.
    pub source: String,
    /// `ce_type`: what it is.
    pub kind: String,
    /// `ce_time`: when it was said.
    pub time: DateTime<Utc>,
    /// `ce_subject`: what it is about, such as `order/7`.
    pub subject: Option<String>,
    /// `ce_correlationid`: the request that started it all.
    pub correlation_id: Uuid,
    /// `ce_causationid`: the message that caused this one.
    pub causation_id: Option<Uuid>,
    /// `ce_aggregateversion`: which version of its subject it tells about.
    pub aggregate_version: Option<i64>,
    /// `traceparent`: the W3C trace context.
    pub traceparent: Option<String>,
}

/// Why headers are not an envelope.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// A header that every message has.
    #[error("the header {0} is missing")]
    Missing(&'static str),
    /// A header that says something else than it must.
    #[error("the header {0} cannot be understood")]
    Invalid(&'static str),
}

/// The text of a header, by its whole name.
pub(crate) fn header<'a>(headers: &'a impl rdkafka::message::Headers, name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|header| header.key == name)
        .and_then(|header| std::str::from_utf8(header.value?).ok())
}

impl Metadata {
    /// The envelope that `headers` are.
    ///
    /// # Errors
    /// Names the header that is missing or wrong.
    pub fn from_headers(headers: &impl rdkafka::message::Headers) -> Result<Self, EnvelopeError> {
        let required = |name| header(headers, name).ok_or(EnvelopeError::Missing(name));
        if required("ce_specversion")? != "1.0" {
            return Err(EnvelopeError::Invalid("ce_specversion"));
        }
        Ok(Self {
            id: parse("ce_id", required("ce_id")?)?,
            source: required("ce_source")?.to_owned(),
            kind: required("ce_type")?.to_owned(),
            time: parse("ce_time", required("ce_time")?)?,
            subject: header(headers, "ce_subject").map(str::to_owned),
            correlation_id: parse("ce_correlationid", required("ce_correlationid")?)?,
            causation_id: optional(headers, "ce_causationid")?,
            aggregate_version: optional(headers, "ce_aggregateversion")?,
            traceparent: header(headers, "traceparent").map(str::to_owned),
        })
    }

    /// The headers that this envelope is.
    pub fn to_headers(&self) -> OwnedHeaders {
        let mut headers = OwnedHeaders::new_with_capacity(11)
            .insert(Header { key: "content-type", value: Some("application/json") });
        let time = self.time.to_rfc3339_opts(SecondsFormat::Micros, true);
        for (name, value) in [
            ("specversion", Some("1.0".to_owned())),
            ("id", Some(self.id.to_string())),
            ("source", Some(self.source.clone())),
            ("type", Some(self.kind.clone())),
            ("time", Some(time)),
            ("subject", self.subject.clone()),
            ("correlationid", Some(self.correlation_id.to_string())),
            ("causationid", self.causation_id.map(|id| id.to_string())),
            ("aggregateversion", self.aggregate_version.map(|version| version.to_string())),
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

fn parse<T: FromStr>(name: &'static str, text: &str) -> Result<T, EnvelopeError> {
    text.parse().map_err(|_| EnvelopeError::Invalid(name))
}

fn optional<T: FromStr>(
    headers: &impl rdkafka::message::Headers,
    name: &'static str,
) -> Result<Option<T>, EnvelopeError> {
    header(headers, name).map(|text| parse(name, text)).transpose()
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Headers as _;

    use super::*;

    fn envelope() -> Metadata {
        Metadata {
            id: Uuid::now_v7(),
            source: "/order".to_owned(),
            kind: "OrderProcessed".to_owned(),
            time: "2026-01-02T03:04:05.678901Z".parse().unwrap(),
            subject: Some("order/7".to_owned()),
            correlation_id: Uuid::now_v7(),
            causation_id: Some(Uuid::now_v7()),
            aggregate_version: Some(2),
            traceparent: None,
        }
    }

    #[test]
    fn an_envelope_survives_the_headers() {
        let envelope = envelope();
        assert_eq!(Metadata::from_headers(&envelope.to_headers()).unwrap(), envelope);
    }

    #[test]
    fn a_header_that_is_missing_or_wrong_is_named() {
        let without = |name: &str| {
            let all = envelope().to_headers();
            let kept = all.iter().filter(|header| header.key != name);
            kept.fold(OwnedHeaders::new(), |headers, header| headers.insert(header))
        };
        for name in ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_correlationid"] {
            let error = Metadata::from_headers(&without(name)).unwrap_err();
            assert_eq!(error.to_string(), format!("the header {name} is missing"));
        }
        let wrong = without("ce_id").insert(Header { key: "ce_id", value: Some("7") });
        assert_eq!(
            Metadata::from_headers(&wrong).unwrap_err().to_string(),
            "the header ce_id cannot be understood"
        );
    }
}
