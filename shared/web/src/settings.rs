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
    /// Address to listen on.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,

    /// Most connections at a time; further ones wait to be accepted.
    #[arg(long, env = "CONNECTIONS_MAX", default_value_t = 4096)]
    pub connections_max: usize,

    /// Longest time for a request's head to arrive, also the first one's and that of an idle connection, in milliseconds.
    #[arg(long, env = "HEAD_TIMEOUT_MS", default_value_t = 30_000)]
    pub head_timeout_ms: u64,

    /// Longest time for a request's body to arrive, in milliseconds; then the answer is 408.
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
