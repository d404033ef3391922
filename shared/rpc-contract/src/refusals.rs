//! What is refused: by the contract's errors outside, by statuses inside. Fields have other names there where they hold money.

use std::fmt::Display;

use api::ApiError;
use rpc::{CallError, Refusal};
use web::{PeerError, Problem};

/// Fields that hold money, as they are called outside and inside.
const MONEY: [(&str, &str); 2] = [("amount", "amount_minor"), ("price", "price_minor")];

/// `INVALID_ARGUMENT` that names the field.
pub fn invalid(field: &str, why: impl Display) -> Refusal {
    Problem::invalid_request(field, format!("{field}: {why}")).into()
}

/// What the contract says outside, said inside.
pub fn refused(error: ApiError) -> Refusal {
    let mut refusal = Refusal::from(Problem::from(error));
    if let Some(field) = refusal.metadata.get_mut("field")
        && let Some((_, inside)) = MONEY.iter().find(|(outside, _)| outside == field)
    {
        (*inside).clone_into(field);
    }
    refusal
}

/// What is said inside, said outside again.
pub fn told_outside(mut refusal: Refusal) -> Problem {
    if let Some(field) = refusal.metadata.get_mut("field")
        && let Some((outside, _)) = MONEY.iter().find(|(_, inside)| inside == field)
    {
        (*outside).clone_into(field);
    }
    refusal.into()
}

/// A response that is none of the contract: the peer speaks another version of it.
pub fn unusable(peer: &'static str, what: impl Display) -> CallError {
    CallError::Peer(PeerError::Unanswered {
        peer,
        cause: format!("its answer is not of the contract: {what}"),
    })
}
