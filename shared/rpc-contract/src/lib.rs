//! What goes over the wire: the messages of the `.proto` files, as `rpc-build` has made them, and what they are in the contract.
//!
//! A request is parsed where it arrives, and a response where it is asked for: in each direction by the types of the crates `api` and
//! `domain`, which accept only what is valid.

pub(crate) mod billing;
pub(crate) mod notification;
pub(crate) mod order;

use std::fmt::Display;

use api::ApiError;
use api::page::PageLimit;
use chrono::{DateTime, Utc};
use domain::RequestId;
use rpc::prost_types::Timestamp;
use rpc::{CallError, Refusal};
use web::{PeerError, Problem};

rpc::generated! {
    pub(crate) mod proto
}
pub(crate) use proto::DESCRIPTORS;

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
pub(crate) fn request_id(text: &str) -> Result<RequestId, Refusal> {
    text.parse().map_err(|_| invalid("request_id", "must be a UUID"))
}

/// How many entries a page has.
pub(crate) fn page_limit(limit: Option<i32>) -> Result<PageLimit, Refusal> {
    let Some(limit) = limit else { return Ok(PageLimit::default()) };
    // What does not fit is too large, and is told so.
    parse("limit", u16::try_from(limit).unwrap_or(0))
}

pub(crate) fn invalid(field: &str, why: impl Display) -> Refusal {
    Problem::invalid_request(field, format!("{field}: {why}")).into()
}

/// Fields that hold money, as they are called outside and inside.
const MONEY: [(&str, &str); 2] = [("amount", "amount_minor"), ("price", "price_minor")];

/// What the contract says outside, said inside.
pub(crate) fn refused(error: ApiError) -> Refusal {
    let mut refusal = Refusal::from(Problem::from(error));
    if let Some(field) = refusal.metadata.get_mut("field")
        && let Some((_, inside)) = MONEY.iter().find(|(outside, _)| outside == field)
    {
        (*inside).clone_into(field);
    }
    refusal
}

/// What is said inside, said outside again.
pub(crate) fn told_outside(mut refusal: Refusal) -> Problem {
    if let Some(field) = refusal.metadata.get_mut("field")
        && let Some((outside, _)) = MONEY.iter().find(|(_, inside)| inside == field)
    {
        (*outside).clone_into(field);
    }
    refusal.into()
}

/// A response that is none of the contract: the peer speaks another version of it.
pub(crate) fn unusable(peer: &'static str, what: impl Display) -> CallError {
    CallError::Peer(PeerError::Unanswered {
        peer,
        cause: format!("its answer is not of the contract: {what}"),
    })
}

fn timestamp(at: DateTime<Utc>) -> Timestamp {
    let nanos = i32::try_from(at.timestamp_subsec_nanos()).unwrap_or_default();
    Timestamp { seconds: at.timestamp(), nanos }
}

fn time(field: &str, at: Option<Timestamp>) -> Result<DateTime<Utc>, String> {
    let at = at.ok_or_else(|| format!("{field} is absent"))?;
    let nanos = u32::try_from(at.nanos).map_err(|error| format!("{field}: {error}"))?;
    DateTime::from_timestamp(at.seconds, nanos).ok_or_else(|| format!("{field} is no time"))
}
