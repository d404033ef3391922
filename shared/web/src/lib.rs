//! How requests and answers travel over HTTP: the server's frame, the client with its deadlines, retries and breaker, and
//! problem details. Knows nothing of the domain.

mod call;
mod client;
mod context;
mod extract;
mod find;
mod health;
mod problem;
mod server;
mod spans;

pub use call::{Answer, Call, PeerError, Retry};
pub use client::{Client, ClientSettings, Peer};
pub use context::RequestContext;
pub use extract::{Json, Path, Query};
pub use find::{FindError, ask_until_answered};
pub use health::{Check, Health};
pub use problem::Problem;
pub use server::{
    BODY_BYTES_MAX, DeadlineOf, ListenSettings, ServerSettings, bind, in_time, serve, shutdown_on_signal,
    spawn_worker,
};
