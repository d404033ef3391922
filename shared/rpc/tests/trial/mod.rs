//! A service that does what it is told, on servers that come and go, and a channel to them.

#![allow(dead_code, reason = "each file of tests uses a part of it")]

pub mod raw;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rpc::{Channel, ChannelSettings, Client, Code, Refusal, RpcSettings, ServerSettings};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use web::{ClientSettings, ListenSettings, RequestContext};

rpc::generated!(pub mod proto);
pub use proto::trial::v1::{
    CountRequest, CountResponse, EchoRequest, EchoResponse, TrialService, TrialServiceClient, trial_service,
};

/// How long something that should happen soon may take.
pub const SOON: Duration = Duration::from_secs(10);
/// How long a call may take at a server of these tests.
pub const DEADLINE: Duration = Duration::from_secs(3);

/// Counts its calls.
#[derive(Clone, Default)]
pub struct Trial(pub Arc<AtomicU32>);

impl TrialService for Trial {
    async fn echo(&self, request: EchoRequest) -> Result<EchoResponse, Refusal> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let context = RequestContext::current();
        let left_ms = context.remaining().as_millis().try_into().unwrap();
        sleep(Duration::from_millis(request.after_ms.into())).await;
        Ok(EchoResponse { text: request.text, left_ms, request_id: context.id })
    }

    async fn count(&self, request: CountRequest) -> Result<CountResponse, Refusal> {
        let count = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        match request.outcome.as_str() {
            "" => Ok(CountResponse { count }),
            "panic" => panic!("a secret"),
            "UNAVAILABLE" => Err(Refusal::new(Code::Unavailable, "unavailable", "Not now.")),
            "INTERNAL" => Err(Refusal::new(Code::Internal, "internal", "Broken.")),
            other => Err(Refusal::new(Code::FailedPrecondition, other, "Not so.").with("orderId", "7")),
        }
    }
}

/// A server of a [`Trial`].
pub struct Server {
    pub address: SocketAddr,
    pub trial: Trial,
    shutdown: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
}

impl Server {
    pub async fn start() -> Self {
        Self::start_with(listen().await, rpc_settings())
    }

    pub fn start_with(listener: TcpListener, rpc: RpcSettings) -> Self {
        let (address, trial, shutdown) =
            (listener.local_addr().unwrap(), Trial::default(), CancellationToken::new());
        let settings = server_settings(address, rpc);
        let services = vec![trial_service(trial.clone())];
        let running = tokio::spawn(rpc::serve(listener, services, settings, shutdown.clone()));
        Self { address, trial, shutdown, running }
    }

    pub fn calls(&self) -> u32 {
        self.trial.0.load(Ordering::SeqCst)
    }

    /// Tells it to stop.
    pub fn stop(&self) {
        self.shutdown.cancel();
    }

    /// Tells it to stop, and waits until it has.
    pub async fn stopped(self) {
        self.stop();
        self.running.await.unwrap().unwrap();
    }
}

pub fn server_settings(address: SocketAddr, rpc: RpcSettings) -> ServerSettings {
    ServerSettings {
        listen: ListenSettings {
            listen: address,
            connections_max: 1024,
            head_timeout_ms: 1_000,
            body_timeout_ms: 1_000,
        },
        rpc,
        checks: Vec::new(),
        metrics: Arc::new(String::new),
        deadline: |_| DEADLINE,
        descriptors: proto::DESCRIPTORS,
    }
}

pub fn rpc_settings() -> RpcSettings {
    RpcSettings {
        streams_max: 256,
        request_bytes_max: 64 * 1024,
        connection_age_max_s: 300.0,
        server_keepalive_interval_ms: 20_000,
        drain_ms: 5_000,
        reflection: true,
    }
}

/// Listens on a port that is given to no client, so that it can be listened on again.
pub async fn listen() -> TcpListener {
    loop {
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", fastrand::u16(15_000..30_000))).await {
            return listener;
        }
    }
}

pub fn channel_settings() -> ChannelSettings {
    ChannelSettings {
        client: ClientSettings { connect_timeout_ms: 250, call_timeout_ms: 1_000, outstanding_max: 256 },
        resolve_interval_ms: 200,
        keepalive_interval_ms: 10_000,
        response_bytes_max: 1024 * 1024,
    }
}

pub fn channel(addresses: &[SocketAddr]) -> Channel {
    channel_with(addresses, channel_settings())
}

pub fn channel_with(addresses: &[SocketAddr], settings: ChannelSettings) -> Channel {
    let addresses: Vec<_> = addresses.iter().map(SocketAddr::to_string).collect();
    Client::new(settings).channel("trial", addresses.join(",").parse().unwrap())
}

pub fn client(addresses: &[SocketAddr]) -> TrialServiceClient {
    TrialServiceClient::new(channel(addresses))
}

pub fn echo(text: &str) -> EchoRequest {
    EchoRequest { text: text.to_owned(), after_ms: 0 }
}

pub fn echo_after(after_ms: u32) -> EchoRequest {
    EchoRequest { text: String::new(), after_ms }
}

pub fn count(outcome: &str) -> CountRequest {
    CountRequest { outcome: outcome.to_owned() }
}

/// Waits until `holds`.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !holds().await {
        assert!(Instant::now() < deadline, "{what}");
        sleep(Duration::from_millis(5)).await;
    }
}
