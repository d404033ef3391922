//! How clients use a style: a client that keeps account of what it was promised, the scenario, load.

mod acknowledged;
mod client;
mod eventually;
pub mod load;
pub mod scenario;

pub use self::acknowledged::{Acknowledged, Letter, Poison};
pub use self::client::{Api, Reply};
pub use self::eventually::eventually;
