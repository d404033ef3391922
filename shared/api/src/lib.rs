//! The HTTP contract: types, errors, the headers with a meaning of their own, OpenAPI, and the routes that are the same in
//! every style.

pub mod asked;
pub mod billing;
mod deliverable;
pub mod docs;
mod error;
pub mod gateway;
mod idempotency;
pub mod messages;
#[cfg(feature = "failpoints")]
mod mistake;
pub mod notification;
pub mod order;
mod page;
pub mod password;
mod prefer;
pub mod types;

pub use deliverable::{AddressSettings, Addressed, Deliverable};
pub use error::ApiError;
pub use idempotency::{IDEMPOTENCY_KEY, IdempotencyKey, IdempotencyKeyHeader};
pub use prefer::{Prefer, PreferHeader, messages_deadline, request_deadline};

/// `/ready` of a service that owns tables: without its database it can do nothing.
pub fn database_check(pool: &store::Pool) -> web::Check {
    let pool = pool.clone();
    web::Check::required("database", move || {
        let pool = pool.clone();
        async move { store::ping(&pool).await.map_err(|error| error.to_string()) }
    })
}
