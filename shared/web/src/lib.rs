//! How requests and answers travel over HTTP: the server's frame, the client with its deadlines, retries and breaker, and
//! problem details. What does not depend on the protocol serves `rpc`, too: the request's context, the guard of calls, the probes,
//! and listening. Knows nothing of the domain.

mod body;
mod breaker;
mod browsers;
mod call;
mod client;
mod context;
mod etag;
mod extract;
mod find;
mod frame;
mod guard;
mod health;
mod problem;
mod server;
mod settings;
mod spans;
mod words;

pub use body::BODY_BYTES_MAX;
pub use breaker::GuardMetrics;
pub use browsers::{BrowserSettings, NoOrigin, Origins};
pub use call::{Answer, Call, PeerError, Retry};
pub use client::{Client, Peer};
pub use context::{REQUEST_ID, RequestContext};
pub use extract::{Json, Path, Query};
pub use find::{FindError, ask_until_answered};
pub use frame::frame;
pub use guard::{Attempt, Guard, Terms};
pub use health::{Check, Health};
pub use problem::Problem;
pub use server::{Http, SHUTDOWN_GRACE, accept, bind, in_time, serve, shutdown_on_signal, spawn_worker};
pub use settings::{Callers, ClientSettings, DeadlineOf, ListenSettings, ServerSettings};
