//! Serving calls: services in a frame, on one port with the probes.

mod body;
mod connections;
mod frame;
mod health;
mod service;
mod settings;

pub use connections::serve;
pub use service::Service;
pub use settings::{DeadlineOf, RpcSettings, ServerSettings};
