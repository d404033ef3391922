//! A message as it lies in Kafka, read as the Kafka binding of `CloudEvents` says. In binary mode the attributes are headers and
//! the data is the value. In structured mode the whole event is in the value, as JSON. The content type decides which it is.

use std::borrow::Cow;
use std::collections::HashMap;
use std::str::from_utf8;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rdkafka::Message;
use rdkafka::message::Headers;
use serde_json::value::RawValue;

/// What the name of a header that is an attribute begins with.
pub(crate) const PREFIX: &str = "ce_";
/// What the content type of every event in structured mode begins with, and of many events in one message too.
const STRUCTURED: &str = "application/cloudevents";
/// The one form of them that is read here.
const STRUCTURED_JSON: &str = "application/cloudevents+json";

/// Why a message is no event.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Something that every message here has.
    #[error("the {0} is missing")]
    Missing(String),
    /// Something that says what it cannot say.
    #[error("the {0} cannot be understood")]
    Invalid(String),
    /// A form of events that is not read here: Avro, or many in one message.
    #[error("the content type is {0}; of whole events only {STRUCTURED_JSON} is read")]
    Form(String),
    /// The content type says that the whole event is in the value, and it is not.
    #[error("the content type is {STRUCTURED_JSON}, but the value is no such event: {0}")]
    Value(#[source] serde_json::Error),
}

/// A message that can be asked for the attributes and the data of its event.
pub(crate) struct Arrived<'a, H> {
    headers: Option<&'a H>,
    mode: Mode<'a>,
}

/// Where the event is.
enum Mode<'a> {
    /// Its attributes are the headers.
    Binary { data: &'a [u8] },
    /// The members of a JSON object.
    Structured(HashMap<String, &'a RawValue>),
}

/// The value of a header. Its name counts in any case.
pub(crate) fn header<'a>(headers: &'a impl Headers, name: &str) -> Option<&'a [u8]> {
    headers.iter().find(|header| header.key.eq_ignore_ascii_case(name)).and_then(|header| header.value)
}

/// The value of a header that is text.
pub(crate) fn text_header<'a>(headers: &'a impl Headers, name: &str) -> Option<&'a str> {
    header(headers, name).and_then(|value| from_utf8(value).ok())
}

impl<'a, H: Headers> Arrived<'a, H> {
    /// `message` in the mode that its content type says, whatever else is in its headers.
    ///
    /// # Errors
    /// When it says structured mode, and the value cannot be read so.
    pub(crate) fn read(message: &'a impl Message<Headers = H>) -> Result<Self, EnvelopeError> {
        let (headers, value) = (message.headers(), message.payload().unwrap_or_default());
        let content_type = headers.and_then(|headers| text_header(headers, "content-type"));
        let media_type = content_type.and_then(|it| it.split(';').next()).unwrap_or_default().trim();
        let mode = if media_type.eq_ignore_ascii_case(STRUCTURED_JSON) {
            Mode::Structured(serde_json::from_slice(value).map_err(EnvelopeError::Value)?)
        } else if media_type.get(..STRUCTURED.len()).is_some_and(|it| it.eq_ignore_ascii_case(STRUCTURED)) {
            return Err(EnvelopeError::Form(media_type.to_owned()));
        } else {
            Mode::Binary { data: value }
        };
        Ok(Self { headers, mode })
    }

    /// An attribute that every event here has; not empty.
    ///
    /// # Errors
    /// When it is missing, or cannot be understood.
    pub(crate) fn required(&self, attribute: &str) -> Result<Cow<'a, str>, EnvelopeError> {
        let text = self.text(attribute)?.ok_or_else(|| EnvelopeError::Missing(self.called(attribute)))?;
        if text.is_empty() { Err(self.invalid(attribute)) } else { Ok(text) }
    }

    /// An attribute that an event may have. `CloudEvents` keeps control characters out of texts; PostgreSQL could not store NUL.
    ///
    /// # Errors
    /// When it cannot be understood.
    pub(crate) fn text(&self, attribute: &str) -> Result<Option<Cow<'a, str>>, EnvelopeError> {
        let text = match &self.mode {
            Mode::Binary { .. } => self
                .attribute_header(attribute)
                .map(|value| from_utf8(value).map(Cow::Borrowed).map_err(|_| self.invalid(attribute))),
            Mode::Structured(members) => members
                .get(attribute)
                // One that is not set may also be null.
                .filter(|member| member.get() != "null")
                .map(|member| serde_json::from_str(member.get()).map_err(|_| self.invalid(attribute))),
        };
        match text.transpose()? {
            Some(text) if text.chars().any(char::is_control) => Err(self.invalid(attribute)),
            text => Ok(text),
        }
    }

    /// An attribute that is nobody's business but ours: others may mean something else by its name, so what cannot be understood
    /// is not there. In JSON it may be a number.
    pub(crate) fn extension(&self, attribute: &str) -> Option<String> {
        if let Ok(text) = self.text(attribute) {
            return text.map(Cow::into_owned);
        }
        let Mode::Structured(members) = &self.mode else { return None };
        members.get(attribute)?.get().parse().ok().map(|number: i64| number.to_string())
    }

    /// The W3C trace context: a header of the transport or, as the extension for distributed tracing has it, an attribute.
    pub(crate) fn traceparent(&self) -> Option<String> {
        let of_transport = self.headers.and_then(|headers| text_header(headers, "traceparent"));
        of_transport.map(ToOwned::to_owned).or_else(|| self.extension("traceparent"))
    }

    /// What the event says.
    ///
    /// # Errors
    /// When it is written in Base64, and is not.
    pub(crate) fn data(&self) -> Result<Cow<'a, [u8]>, EnvelopeError> {
        match &self.mode {
            Mode::Binary { data } => Ok(Cow::Borrowed(data)),
            Mode::Structured(members) => {
                if let Some(data) = members.get("data") {
                    return Ok(Cow::Borrowed(data.get().as_bytes()));
                }
                let encoded = self.text("data_base64")?.unwrap_or_default();
                let decoded = BASE64_STANDARD.decode(encoded.as_bytes());
                decoded.map(Cow::Owned).map_err(|_| self.invalid("data_base64"))
            }
        }
    }

    /// Says that an attribute cannot be understood.
    pub(crate) fn invalid(&self, attribute: &str) -> EnvelopeError {
        EnvelopeError::Invalid(self.called(attribute))
    }

    /// What people call an attribute.
    fn called(&self, attribute: &str) -> String {
        match self.mode {
            Mode::Binary { .. } => format!("header {PREFIX}{attribute}"),
            Mode::Structured(_) => format!("attribute {attribute}"),
        }
    }

    fn attribute_header(&self, attribute: &str) -> Option<&'a [u8]> {
        let is_it = |key: &str| {
            key.split_at_checked(PREFIX.len()).is_some_and(|(prefix, name)| {
                prefix.eq_ignore_ascii_case(PREFIX) && name.eq_ignore_ascii_case(attribute)
            })
        };
        self.headers?.iter().find(|header| is_it(header.key)).and_then(|header| header.value)
    }
}
