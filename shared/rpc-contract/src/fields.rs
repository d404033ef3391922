//! Fields of messages, as what they have to be: of a request or its refusal, of a response or what is wrong with it.

use std::fmt::Display;

use api::page::PageLimit;
use chrono::{DateTime, Utc};
use domain::RequestId;
use rpc::Refusal;
use rpc::prost_types::Timestamp;

use crate::refusals::invalid;

/// A field of a request as what it has to be.
///
/// # Errors
/// `INVALID_ARGUMENT` that names the field.
pub(crate) fn parse<V, T>(field: &str, value: V) -> Result<T, Refusal>
where
    T: TryFrom<V, Error: Display>,
{
    value.try_into().map_err(|error: T::Error| invalid(field, error))
}

/// As [`parse`], of a field that may be absent.
pub(crate) fn parse_optional<V, T>(field: &str, value: Option<V>) -> Result<Option<T>, Refusal>
where
    T: TryFrom<V, Error: Display>,
{
    value.map(|value| parse(field, value)).transpose()
}

/// The id under which a request with an effect is remembered.
///
/// # Errors
/// `INVALID_ARGUMENT`, when it is no UUID.
pub fn request_id(text: &str) -> Result<RequestId, Refusal> {
    text.parse().map_err(|_| invalid("request_id", "must be a UUID"))
}

/// How many entries a page has.
pub(crate) fn page_limit(limit: Option<i32>) -> Result<PageLimit, Refusal> {
    let Some(limit) = limit else { return Ok(PageLimit::default()) };
    // What does not fit is too large, and is told so.
    parse("limit", u16::try_from(limit).unwrap_or(0))
}

pub(crate) fn timestamp(at: DateTime<Utc>) -> Timestamp {
    let nanos = i32::try_from(at.timestamp_subsec_nanos()).unwrap_or_default();
    Timestamp { seconds: at.timestamp(), nanos }
}

/// The time in a response.
pub(crate) fn time(field: &str, at: Option<Timestamp>) -> Result<DateTime<Utc>, String> {
    let at = at.ok_or_else(|| format!("{field} is absent"))?;
    let nanos = u32::try_from(at.nanos).map_err(|error| format!("{field}: {error}"))?;
    DateTime::from_timestamp(at.seconds, nanos).ok_or_else(|| format!("{field} is no time"))
}
