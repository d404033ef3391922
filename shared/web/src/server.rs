//! Listening, serving within bounds, and stopping: what becomes of a connection. What becomes of a request is the frame's affair.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use http::{Request, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tower::util::MapResponse;

use crate::frame::frame;
use crate::settings::{ListenSettings, ServerSettings};

/// The largest request head, in bytes. Past it the answer is 431.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// How long running requests may take to finish at shutdown.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// How long somebody who may be answered without the outcome waits for it then.
const WAIT_AT_SHUTDOWN: Duration = Duration::from_secs(5);

/// Listens on `address`.
///
/// # Errors
/// One line that names the address and says what to do.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        anyhow::anyhow!(
            "cannot listen on {address}: {error}; stop what uses it or choose another address with --listen"
        )
    })
}

/// A token that is cancelled by SIGTERM or Ctrl-C.
///
/// # Errors
/// When no signal handler can be installed.
pub fn shutdown_on_signal() -> std::io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = CancellationToken::new();
    let cancelled = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        cancelled.cancel();
    });
    Ok(shutdown)
}

/// Runs a worker without which the service is not sound. Should it fail or panic, the service stops, so that whoever
/// supervises it starts it anew. The handle ends with the worker.
pub fn spawn_worker(
    worker: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    shutdown: CancellationToken,
) -> JoinHandle<anyhow::Result<()>> {
    let running = tokio::spawn(worker);
    tokio::spawn(async move {
        let outcome = running.await.unwrap_or_else(|panic| Err(panic.into()));
        if let Err(error) = &outcome {
            tracing::error!(error = format!("{error:#}"), "a worker ended; stopping");
            shutdown.cancel();
        }
        outcome
    })
}

/// Routes, whose answers are seen to before they are written.
type Answering = MapResponse<Router, fn(Response) -> Response>;

/// Speaks HTTP/1.1 on connections that were accepted.
///
/// Not `axum::serve`, which does not bound the time and memory that a half-sent request head takes.
pub struct Http {
    protocol: http1::Builder,
    service: TowerToHyperService<Answering>,
}

impl Http {
    /// For `routes` in their [`frame`].
    pub fn new(framed: Router, listen: &ListenSettings) -> Self {
        let mut protocol = http1::Builder::new();
        protocol
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_millis(listen.head_timeout_ms))
            .max_buf_size(HEAD_BYTES_MAX);
        let without_length: fn(Response) -> Response = without_length;
        let service = ServiceExt::<Request<Incoming>>::map_response(framed, without_length);
        Self { protocol, service: TowerToHyperService::new(service) }
    }

    /// Serves one connection. Ends with an error when the client hangs up or is too slow, which is the client's affair.
    pub fn connection(
        &self,
        stream: TcpStream,
    ) -> impl GracefulConnection<Error = hyper::Error> + Send + use<> {
        self.protocol.serve_connection(TokioIo::new(stream), self.service.clone())
    }
}

/// Serves `routes` until `shutdown`, then stops accepting and lets running requests finish.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    settings: ServerSettings,
    shutdown: CancellationToken,
) {
    let connections = Arc::new(Semaphore::new(settings.listen.connections_max));
    let listen = settings.listen.clone();
    let http = Http::new(frame(routes, settings), &listen);
    let running = GracefulShutdown::new();
    while let Some((stream, permit)) = accept(&listener, &connections, &shutdown).await {
        let connection = running.watch(http.connection(stream));
        tokio::spawn(async move {
            let _ = connection.await;
            drop(permit);
        });
    }
    drop(listener);
    if timeout(SHUTDOWN_GRACE, running.shutdown()).await.is_err() {
        tracing::warn!("requests were still running {SHUTDOWN_GRACE:?} after the shutdown began");
    }
}

/// `outcome`, if it comes until `by`. At `shutdown` that is soon, so that whoever waits is answered before the server is gone.
pub async fn in_time<T>(
    by: Instant,
    shutdown: &CancellationToken,
    outcome: impl Future<Output = T>,
) -> Option<T> {
    let over = async {
        tokio::select! {
            () = sleep_until(by) => {}
            () = async { shutdown.cancelled().await; sleep(WAIT_AT_SHUTDOWN).await } => {}
        }
    };
    tokio::select! {
        outcome = outcome => Some(outcome),
        () = over => None,
    }
}

/// The router writes how long every body is, also where there is none by definition: of a 204 it may not be said, and of a 304 it
/// would be the length of what is not sent (RFC 9110, section 8.6).
fn without_length(mut response: Response) -> Response {
    if matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    response
}

/// The next connection, once there is room for it among `connections`; `None` at shutdown.
pub async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
    shutdown: &CancellationToken,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let accepted = async {
        let permit = Arc::clone(connections).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return Some((stream, permit)),
                // Out of file descriptors, mostly: some will be free again.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    };
    let (stream, permit) =
        tokio::select! { next = accepted => next?, () = shutdown.cancelled() => return None };
    // Without this an answer of two small writes can wait 40 ms for the client's delayed ACK.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    Some((stream, permit))
}
