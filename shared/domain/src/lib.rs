//! The business rules of the scenario, and nothing else: no IO, no HTTP, no SQL, no messages.
//!
//! Every style uses exactly this crate, so that a difference measured between styles cannot come from here.

mod email;
mod ids;
mod money;
mod order;
mod text;
mod user;

pub use email::OrderEmail;
pub use ids::{EmailId, Operation, OrderId, RequestId, UserId};
pub use money::{Amount, AmountError, Balance};
pub use order::{AlreadySettled, OrderStatus, Refusal, Settlement};
pub use text::{EmailAddress, Line, Prose, TextError};
pub use user::{Profile, Registration, RegistrationRefusal};
