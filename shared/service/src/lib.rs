//! The life of a service: how it starts, what runs in it, and in which order it stops. The same in every style, so that a
//! style's `run` names its parts and nothing else.
//!
//! ```text
//! start -> database -> parts -> serve ... SIGTERM -> the server and what runs while serving -> what runs to the end -> database
//! ```
//!
//! Its functions return boxed futures. An `async fn` is compiled again in every crate that awaits it, with everything that it
//! awaits itself; a boxed one is compiled here, once.

#[cfg(feature = "messages")]
mod failure;
mod life;
#[cfg(feature = "messages")]
mod messages;
#[cfg(feature = "rpc")]
mod rpc_server;
mod workers;

#[cfg(feature = "messages")]
pub use failure::Failure;
pub use life::{Service, ServiceSettings};
#[cfg(feature = "messages")]
pub use messages::{ConsumerSettings, GatewaySettings, NotificationSettings};
