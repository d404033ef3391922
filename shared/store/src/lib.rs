//! PostgreSQL: one module and one migrations folder per owning service.
//!
//! Functions take `&mut PgConnection`, so that a style decides what shares a transaction. A style that runs on these
//! tables cannot reach another service's: each service has a schema and a role of its own (see [`provision`]).

pub use database::{DatabaseSettings, Pool, chain, condition, uninterrupted};

pub mod billing;
mod error;
mod migration;
mod mistake;
pub mod notification;
pub mod order;
pub mod provision;
pub mod saga;
pub mod ticket;

pub use error::StoreError;
pub use migration::migrate;

/// What a request that may be a repeat led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Once<T> {
    /// It was the first: this is its effect.
    Done(T),
    /// It was made before: this is what came of it then.
    Repeated(T),
    /// The same request id came with other content before. Nothing was done.
    Reused,
}
