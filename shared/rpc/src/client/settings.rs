//! Settings of the calls to other services.

use std::time::Duration;

use clap::Args;
use web::{BODY_BYTES_MAX, ClientSettings};

/// Settings of the calls to other services.
#[derive(Clone, Debug, Args)]
#[group(skip)]
pub struct ChannelSettings {
    /// What does not depend on the protocol.
    #[command(flatten)]
    pub client: ClientSettings,

    /// How often the names of other services are resolved again, in milliseconds. It also happens when a connection is lost.
    #[arg(long, env = "RESOLVE_INTERVAL_MS", default_value_t = 1000)]
    pub resolve_interval_ms: u64,

    /// After how many milliseconds a connection to another service is asked whether it is still there.
    #[arg(long, env = "KEEPALIVE_INTERVAL_MS", default_value_t = 10_000)]
    pub keepalive_interval_ms: u64,

    /// The largest response that is taken, in bytes. A page has up to 100 entries, each of which came in a request.
    #[arg(long, env = "RESPONSE_BYTES_MAX", default_value_t = 128 * BODY_BYTES_MAX)]
    pub response_bytes_max: usize,
}

impl ChannelSettings {
    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.client.connect_timeout_ms)
    }

    pub(crate) fn resolve_interval(&self) -> Duration {
        Duration::from_millis(self.resolve_interval_ms)
    }

    pub(crate) fn keepalive_interval(&self) -> Duration {
        Duration::from_millis(self.keepalive_interval_ms)
    }
}
