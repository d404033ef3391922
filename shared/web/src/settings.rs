//! What the server's frame needs to know about a service, and about those who call it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use clap::Args;

use crate::browsers::BrowserSettings;
use crate::health::Check;

/// Where a service listens.
#[derive(Clone, Debug, Args)]
pub struct ListenSettings {
    /// The address on which the service listens.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// How many connections may be open at the same time. Further ones wait until they are accepted.
    #[arg(long, env = "CONNECTIONS_MAX", default_value_t = 4096)]
    pub connections_max: usize,

    /// How long the head of a request may take to arrive, in milliseconds. An idle connection is closed after the same time.
    #[arg(long, env = "HEAD_TIMEOUT_MS", default_value_t = 30_000)]
    pub head_timeout_ms: u64,

    /// How long the body of a request may take to arrive, in milliseconds. After that time the answer is 408.
    #[arg(long, env = "BODY_TIMEOUT_MS", default_value_t = 5_000)]
    pub body_timeout_ms: u64,
}

/// How long a request may take.
pub type DeadlineOf = fn(&Request) -> Duration;

/// Who calls a service.
#[derive(Clone, Debug)]
pub enum Callers {
    /// Services of ours. A caller may shorten the deadline, so that its own is met.
    Services,
    /// Anybody, also pages in browsers. A stranger who could shorten the deadline would cut short our calls to others and make
    /// them look broken.
    Strangers(BrowserSettings),
}

/// What the frame needs to know about a service.
pub struct ServerSettings {
    /// Where it listens, and within which limits.
    pub listen: ListenSettings,
    /// What `/ready` asks.
    pub checks: Vec<Check>,
    /// What `/metrics` answers, in Prometheus' text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// How long a request may take as a whole, once its body is there.
    pub deadline: DeadlineOf,
    /// Who calls it.
    pub callers: Callers,
}

/// Settings of the calls to other services.
#[derive(Clone, Debug, Args)]
pub struct ClientSettings {
    /// How long a TCP connection to another service may take, in milliseconds.
    #[arg(long, env = "CONNECT_TIMEOUT_MS", default_value_t = 250)]
    pub connect_timeout_ms: u64,

    /// How long one attempt to call another service may take, in milliseconds.
    #[arg(long, env = "CALL_TIMEOUT_MS", default_value_t = 1000)]
    pub call_timeout_ms: u64,

    /// How many requests to one other service may be under way at the same time. Further ones wait, until their deadline.
    #[arg(long, env = "OUTSTANDING_MAX", default_value_t = 256)]
    pub outstanding_max: usize,
}
