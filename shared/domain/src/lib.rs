//! The business rules of the scenario, and nothing else: no IO, no HTTP, no SQL, no messages.
//!
//! Every style uses exactly this crate, so that a difference measured between styles cannot come from here.

mod address;
mod booking;
mod email;
mod ids;
mod invisible;
mod money;
mod order;
mod refused;
mod seats;
mod text;
mod text_type;
mod user;
mod username;
mod whole;

pub use address::EmailAddress;
pub use booking::{Progress, Step};
pub use email::OrderEmail;
pub use ids::{EmailId, EventId, Operation, OrderId, RequestId, TicketId, UserId};
pub use money::{Amount, AmountError, Balance, Money};
pub use order::{OrderStatus, Refusal, Settlement};
pub use refused::{Codes, Refused};
pub use seats::Capacity;
pub use text::{Line, Prose, Recorded};
pub use text_type::TextError;
pub use user::{Profile, RecordedUser, Registration, RegistrationRefusal};
pub use username::Username;
