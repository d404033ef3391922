//! Listening and stopping: what becomes of a connection. HTTP/2 with gRPC and HTTP/1.1 with the probes come on one port; a client
//! shows by its first bytes which one it speaks.

use std::convert::Infallible;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tonic_health::pb::health_server::HealthServer;
use tower::util::BoxCloneSyncService;
use web::{Callers, Http};

use super::frame::{Foreign, Frame};
use super::health::HealthOf;
use super::service::Service;
use super::settings::{RpcSettings, ServerSettings};

/// What a client that speaks HTTP/2 sends first (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The longest list of headers of a request, in bytes. Past it the answer is 431, as HTTP says; gRPC has no status for it.
const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// How long calls may go on that began before their connection got old: longer than any may take, a stream aside.
const OLD_CALLS_MAX: Duration = Duration::from_mins(1);
/// How long a client may take to say that it is there.
const PONG_MAX: Duration = Duration::from_secs(10);

/// Serves `services` until `shutdown`, then tells all clients to go elsewhere, and lets calls that are under way end, within the
/// settings' bound.
///
/// # Errors
/// When the descriptors are none.
pub async fn serve(
    listener: TcpListener,
    services: Vec<Service>,
    settings: ServerSettings,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let server = Arc::new(Server::new(services, settings, &shutdown)?);
    let (connections, running) = (Arc::new(Semaphore::new(server.connections_max)), TaskTracker::new());
    while let Some((stream, permit)) = web::accept(&listener, &connections, &shutdown).await {
        let (server, shutdown) = (Arc::clone(&server), shutdown.clone());
        running.spawn(async move {
            if let Some(connection) = server.begin(stream, shutdown).await {
                connection.await;
            }
            drop(permit);
        });
    }
    drop(listener);
    running.close();
    running.wait().await;
    Ok(())
}

/// What every connection needs.
struct Server {
    frame: Arc<Frame>,
    http: Http,
    http2: http2::Builder<TokioExecutor>,
    rpc: RpcSettings,
    head_timeout: Duration,
    connections_max: usize,
}

impl Server {
    fn new(
        services: Vec<Service>,
        settings: ServerSettings,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let ServerSettings { listen, rpc, checks, metrics, deadline, descriptors } = settings;
        let names: Vec<_> = services.iter().map(|service| service.name).collect();
        let health = HealthOf::new(names.clone(), checks.clone(), shutdown.clone());
        let health = HealthServer::new(health);
        let mut foreign = vec![("grpc.health.v1.Health", BoxCloneSyncService::new(health))];
        if rpc.reflection {
            foreign.extend(reflection(descriptors, &names)?);
        }
        let probes = web::ServerSettings {
            listen: listen.clone(),
            checks,
            metrics,
            // Probes are all that is asked for here, and have time limits of their own.
            deadline: |_| PONG_MAX,
            callers: Callers::Services,
        };
        let framed = web::frame(Router::new(), probes);
        Ok(Self {
            http: Http::new(framed.clone(), &listen),
            frame: Arc::new(Frame::new(services, foreign, framed, deadline, rpc.request_bytes_max)),
            http2: http2(&rpc),
            rpc,
            head_timeout: Duration::from_millis(listen.head_timeout_ms),
            connections_max: listen.connections_max,
        })
    }

    /// What a connection does until it ends; `None` if its client hangs up, or takes too long to say what it speaks.
    async fn begin(&self, stream: TcpStream, shutdown: CancellationToken) -> Option<BoxFuture<'static, ()>> {
        let first = timeout(self.head_timeout, speaks_http2(&stream));
        let speaks_http2 = tokio::select! {
            answer = first => answer.ok()??,
            () = shutdown.cancelled() => return None,
        };
        Some(if speaks_http2 { self.http2(stream, shutdown) } else { self.http1(stream, shutdown) })
    }

    fn http1(&self, stream: TcpStream, shutdown: CancellationToken) -> BoxFuture<'static, ()> {
        Box::pin(run(self.http.connection(stream), pending(), shutdown, self.rpc.drain()))
    }

    fn http2(&self, stream: TcpStream, shutdown: CancellationToken) -> BoxFuture<'static, ()> {
        let frame = Arc::clone(&self.frame);
        let service = service_fn(move |request: Request<Incoming>| -> Answers {
            Box::pin(Arc::clone(&frame).answer(request).map(Ok))
        });
        let connection = self.http2.serve_connection(TokioIo::new(stream), service);
        Box::pin(run(connection, sleep(self.rpc.connection_age()), shutdown, self.rpc.drain()))
    }
}

/// Calls come in by their connection, and are answered in tasks of their own.
type Answers = BoxFuture<'static, Result<Response<Body>, Infallible>>;

/// Both versions of the protocol. Each lists the services that are here, of all that the descriptors have, health, and itself. Who asks
/// by reflection alone can read the details of refusals, too.
fn reflection(
    descriptors: &'static [u8],
    services: &[&'static str],
) -> anyhow::Result<Vec<(&'static str, Foreign)>> {
    const V1: &str = "grpc.reflection.v1.ServerReflection";
    const V1ALPHA: &str = "grpc.reflection.v1alpha.ServerReflection";
    let builder = |itself: &'static str| {
        let builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(descriptors)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET);
        let listed = services.iter().copied().chain(["grpc.health.v1.Health", itself]);
        listed.fold(builder, tonic_reflection::server::Builder::with_service_name)
    };
    Ok(vec![
        (V1, BoxCloneSyncService::new(builder(V1).build_v1()?)),
        (V1ALPHA, BoxCloneSyncService::new(builder(V1ALPHA).build_v1alpha()?)),
    ])
}

fn http2(settings: &RpcSettings) -> http2::Builder<TokioExecutor> {
    let mut http2 = http2::Builder::new(TokioExecutor::new());
    http2
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.streams_max)
        .max_header_list_size(HEADER_BYTES_MAX)
        .keep_alive_interval(Duration::from_millis(settings.server_keepalive_interval_ms))
        .keep_alive_timeout(PONG_MAX);
    http2
}

/// Runs a connection until it ends. When it `is_old`, its client is told to open another one, and the calls under way end by their own
/// deadlines. At `shutdown` its client is told too, and they have `drain` to end.
async fn run(
    connection: impl GracefulConnection,
    is_old: impl Future<Output = ()>,
    shutdown: CancellationToken,
    drain: Duration,
) {
    let mut connection = pin!(connection);
    tokio::select! {
        // Ends with an error when the client hangs up, which is the client's affair.
        _ = connection.as_mut() => return,
        () = shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
        () = is_old => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                _ = connection.as_mut() => return,
                () = shutdown.cancelled() => {}
                () = sleep(OLD_CALLS_MAX) => {}
            }
        }
    }
    if timeout(drain, connection).await.is_err() {
        tracing::warn!("calls were still under way on a connection {drain:?} after it was told to end");
    }
}

/// Whether the first bytes are those of HTTP/2; they are left for who reads next. `None` if there are none.
async fn speaks_http2(stream: &TcpStream) -> Option<bool> {
    let mut first = [0; PREFACE.len()];
    loop {
        let length = stream.peek(&mut first).await.ok().filter(|&length| length > 0)?;
        if first[..length] != PREFACE[..length] {
            return Some(false);
        }
        if length == first.len() {
            return Some(true);
        }
        // The rest is on its way; a look at what was seen already does not wait for it.
        sleep(Duration::from_millis(1)).await;
    }
}
