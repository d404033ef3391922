//! What the server's frame needs to know about a service.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use web::{BODY_BYTES_MAX, Check, ListenSettings};

use crate::method::Method;

/// Settings of a server that are gRPC's own.
#[derive(Clone, Debug, Args)]
#[group(skip)]
pub struct RpcSettings {
    /// How many calls may be under way at the same time on one connection. Clients wait with further ones.
    #[arg(long, env = "STREAMS_MAX", default_value_t = 256)]
    pub streams_max: u32,

    /// The largest request, in bytes. A larger one is refused.
    #[arg(long, env = "REQUEST_BYTES_MAX", default_value_t = BODY_BYTES_MAX)]
    pub request_bytes_max: usize,

    /// How old a connection gets, in seconds, give or take a tenth. Then its client is told to open another one, and may find
    /// an instance that was not there before.
    #[arg(long, env = "CONNECTION_AGE_MAX_S", default_value_t = 300.0)]
    pub connection_age_max_s: f64,

    /// After how many milliseconds without a word a client is asked whether it is still there.
    #[arg(long, env = "SERVER_KEEPALIVE_INTERVAL_MS", default_value_t = 20_000)]
    pub server_keepalive_interval_ms: u64,

    /// How long calls that are under way may take to end, in milliseconds, when the server stops.
    #[arg(long, env = "DRAIN_MS", default_value_t = 10_000)]
    pub drain_ms: u64,

    /// Whether anybody may ask which services and messages there are (server reflection).
    #[arg(long, env = "REFLECTION")]
    pub reflection: bool,
}

/// How long a call may take.
pub type DeadlineOf = fn(&Method) -> Duration;

/// What the frame needs to know about a service.
pub struct ServerSettings {
    /// Where it listens, and within which limits.
    pub listen: ListenSettings,
    /// Limits of gRPC's own.
    pub rpc: RpcSettings,
    /// What `/ready` and the health service ask.
    pub checks: Vec<Check>,
    /// What `/metrics` answers, in Prometheus' text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// How long a call may take. A caller may ask for less.
    pub deadline: DeadlineOf,
    /// The descriptors of the services, for reflection.
    pub descriptors: &'static [u8],
}

impl RpcSettings {
    /// How old a connection gets: each another age, so that those that were opened together do not end together.
    pub(crate) fn connection_age(&self) -> Duration {
        let jitter = fastrand::f64().mul_add(0.2, 0.9);
        // What is no duration is for ever, or nearly.
        Duration::try_from_secs_f64(self.connection_age_max_s * jitter)
            .unwrap_or(Duration::from_secs(1 << 32))
    }

    pub(crate) fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }
}
