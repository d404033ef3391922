//! Calls of other services: a [`Channel`] to each, over connections to all of its instances.

mod channel;
mod connection;
mod counted;
mod endpoint;
mod endpoints;
mod resolve;
mod settings;

pub use channel::{Channel, Client};
pub use resolve::{NoTarget, Target};
pub use settings::ChannelSettings;
