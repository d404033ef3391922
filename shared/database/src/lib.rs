//! Connections to a service's PostgreSQL.
//!
//! A pool of `sqlx`'s connections that is not `sqlx`'s pool: that one asks the server for a sign of life whenever a connection comes
//! back, which is as many round trips again as a service that answers with single statements has statements. Here a
//! connection is asked when there is a reason to: see [`Pool::run`]. What it is asked is whether its server takes writes.

mod connector;
mod pool;
mod settings;
mod told;
mod uninterrupted;

pub use pool::{Connection, Pool};
pub use settings::{DatabaseSettings, InvalidUrl};
pub use told::{chain, condition};
pub use uninterrupted::uninterrupted;
