//! The business rules of the scenario, and nothing else: no IO, no HTTP, no SQL, no messages.
//!
//! Every style uses exactly this crate, so that a difference measured between styles cannot come from here.

mod email;
mod ids;
mod money;
mod order;
mod refused;
mod text;
mod user;
mod whole;

pub use email::OrderEmail;
pub use ids::{EmailId, Operation, OrderId, RequestId, UserId};
pub use money::{Amount, AmountError, Balance, Money};
pub use order::{OrderStatus, Refusal, Settlement};
pub use refused::Refused;
pub use text::{EmailAddress, Line, Prose, TextError};
pub use user::{Profile, Registration, RegistrationRefusal};
