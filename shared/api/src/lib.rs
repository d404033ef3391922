//! The HTTP contract: types, errors, the headers with a meaning of their own, OpenAPI, and the routes that are the same in
//! every style.

pub mod accounts;
pub mod asked;
pub mod billing;
pub mod bookings;
pub mod contract;
mod deliverable;
pub mod docs;
mod error;
pub mod gateway;
mod idempotency;
pub mod messages;
#[cfg(feature = "failpoints")]
mod mistake;
pub mod notification;
pub mod operations;
pub mod order;
pub mod page;
pub mod password;
mod prefer;
mod readiness;
pub mod tickets;
pub mod types;

pub use deliverable::{AddressSettings, Addressed, Deliverable};
pub use error::ApiError;
pub use idempotency::{IDEMPOTENCY_KEY, IdempotencyKey, IdempotencyKeyHeader};
pub use prefer::{
    LONGEST_DEADLINE, Prefer, PreferHeader, REQUEST_DEADLINE, messages_deadline, request_deadline,
};
pub use readiness::database_check;
