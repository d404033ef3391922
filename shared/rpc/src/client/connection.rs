//! A connection to one instance, and a unary call over it.
//!
//! On `h2` itself: the task of the connection is the only one between a caller and the socket, and its errors say whether the
//! peer can have seen a call. Layers above it that queue requests make a guess of that.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{Ping, PingPong, Reason};
use http::{HeaderMap, Request, StatusCode};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::counted::Counted;
use crate::wire::PREFIX_BYTES;

/// The longest list of headers that is taken from a peer, in bytes.
const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// How much a peer may send before it was taken: of one answer, and of all on a connection. With the protocol's own 64 KB a few
/// hundred small answers at once are taken for an attack by `h2`, which then ends the connection and all calls on it.
const WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 4 * WINDOW_BYTES;
/// How long a peer may take to say that it is there.
const PONG_MAX: Duration = Duration::from_secs(1);
/// A call that has waited this long for its answer makes the connection be asked whether the peer is there.
const SUSPECT_AFTER: Duration = Duration::from_millis(200);

/// A connection that is there: its peer has answered on it.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) address: SocketAddr,
    send: SendRequest<Bytes>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// No further call can be made on it.
    retired: AtomicBool,
    /// Somebody has waited for long: others may be better.
    suspected: AtomicBool,
    /// One of these has changed, or somebody wants to know whether the peer is there.
    changed: Notify,
    /// The peer has said that it is there, or the connection has ended.
    told: Notify,
}

/// What keeps a connection, and tells when it ends.
pub(crate) struct Keeper {
    connection: Connection,
    pings: PingPong,
    driver: JoinHandle<Result<(), h2::Error>>,
}

/// What a peer answered.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: HeaderMap,
}

/// There is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The peer did not get the call, or said that it will not work on it.
    NeverSent(String),
    /// What the peer did is not known.
    Lost(String),
}

impl Connection {
    /// Connects to `address`, and waits until the peer has answered: only that shows that it speaks HTTP/2, and that it is not
    /// merely its system that accepts connections.
    ///
    /// # Errors
    /// Why there is no connection.
    pub(crate) async fn open(address: SocketAddr, peer: &'static str) -> Result<Keeper, String> {
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let handshake = h2::client::Builder::new()
            .enable_push(false)
            .max_header_list_size(HEADER_BYTES_MAX)
            .initial_window_size(WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .handshake(Counted::new(stream, peer));
        let (send, mut driver) = handshake.await.map_err(|error| error.to_string())?;
        let mut pings = driver.ping_pong().expect("taken once");
        let driver = tokio::spawn(driver);
        let connection = Self { address, send, state: Arc::default() };
        let mut keeper = AbortOnDrop(Some(driver));
        pings.ping(Ping::opaque()).await.map_err(|error| said(&error))?;
        let driver = keeper.0.take().expect("taken once");
        Ok(Keeper { connection, pings, driver })
    }

    /// Whether further calls can be made.
    pub(crate) fn is_open(&self) -> bool {
        !self.state.retired.load(Ordering::Relaxed)
    }

    /// Whether somebody has waited for long.
    pub(crate) fn is_suspected(&self) -> bool {
        self.state.suspected.load(Ordering::Relaxed)
    }

    /// Asks the peer whether it is there, by a question that passes by all calls.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(crate) async fn probe(&self) -> Result<(), String> {
        let mut told = pin!(self.state.told.notified());
        told.as_mut().enable();
        self.state.changed.notify_one();
        match timeout(PONG_MAX, told).await {
            Ok(()) if self.is_open() => Ok(()),
            Ok(()) => Err("its connection has ended".to_owned()),
            Err(_) => Err(format!("no answer within {PONG_MAX:?}")),
        }
    }

    /// Makes a call. Does not end by itself while the peer says nothing.
    ///
    /// # Errors
    /// When there is no answer.
    pub(crate) async fn call(
        &self,
        request: Request<()>,
        message: Bytes,
        response_bytes_max: usize,
    ) -> Result<Reply, Failure> {
        let response = self.send(request, message).await.inspect_err(|_| self.retire())?;
        let mut reply = pin!(receive(response, response_bytes_max));
        let soon = timeout(SUSPECT_AFTER, &mut reply).await;
        if soon.is_err() {
            self.suspect();
        }
        let reply = match soon {
            Ok(reply) => reply,
            Err(_) => reply.await,
        };
        if matches!(reply, Err(Failure::NeverSent(_))) {
            self.retire();
        }
        reply
    }

    async fn send(&self, request: Request<()>, message: Bytes) -> Result<ResponseFuture, Failure> {
        let never_sent = |error: h2::Error| Failure::NeverSent(said(&error));
        let mut send = self.send.clone().ready().await.map_err(never_sent)?;
        let (response, mut body) = send.send_request(request, false).map_err(never_sent)?;
        // If the connection ends between these two, the response says how.
        let _ = body.send_data(message, true);
        Ok(response)
    }

    fn suspect(&self) {
        if !self.state.suspected.swap(true, Ordering::Relaxed) {
            self.state.changed.notify_one();
        }
    }

    fn retire(&self) {
        if !self.state.retired.swap(true, Ordering::Relaxed) {
            self.state.changed.notify_one();
        }
    }
}

impl Keeper {
    /// The connection.
    pub(crate) fn connection(&self) -> Connection {
        self.connection.clone()
    }

    /// Keeps the connection until no further call can be made on it. Returns why. Calls that were made go on, unless the peer
    /// has become silent.
    pub(crate) async fn keep(mut self, interval: Duration) -> String {
        let why = loop {
            tokio::select! {
                ended = &mut self.driver => break match ended {
                    Ok(Err(error)) => said(&error),
                    _ => "the peer has closed it".to_owned(),
                },
                () = self.connection.state.changed.notified() => {}
                () = sleep(interval) => {}
            }
            if !self.connection.is_open() {
                break "the peer takes no further calls on it".to_owned();
            }
            match timeout(PONG_MAX, self.pings.ping(Ping::opaque())).await {
                Ok(Ok(_)) => {
                    self.connection.state.suspected.store(false, Ordering::Relaxed);
                    self.connection.state.told.notify_waiters();
                }
                Ok(Err(error)) => break said(&error),
                Err(_) => {
                    // Whoever waits on it would wait in vain.
                    self.driver.abort();
                    break format!("the peer did not answer within {PONG_MAX:?}");
                }
            }
        };
        self.connection.state.retired.store(true, Ordering::Relaxed);
        self.connection.state.told.notify_waiters();
        why
    }
}

/// A connection that nobody waits for any more is none.
struct AbortOnDrop(Option<JoinHandle<Result<(), h2::Error>>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(driver) = &self.0 {
            driver.abort();
        }
    }
}

async fn receive(response: ResponseFuture, bytes_max: usize) -> Result<Reply, Failure> {
    let response = response.await.map_err(|error| failure(&error))?;
    let (parts, mut body) = response.into_parts();
    let mut received = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data.map_err(|error| failure(&error))?;
        // Only this much of it is in memory: the peer may not send more before it was taken.
        let _ = body.flow_control().release_capacity(data.len());
        if received.len() + data.len() > PREFIX_BYTES + bytes_max {
            return Err(Failure::Lost(format!("its answer has more than {bytes_max} bytes")));
        }
        received.extend_from_slice(&data);
    }
    let trailers = body.trailers().await.map_err(|error| failure(&error))?.unwrap_or_default();
    Ok(Reply { status: parts.status, headers: parts.headers, body: received.freeze(), trailers })
}

/// Whether the peer can have seen the call. It cannot if its GOAWAY names an earlier one as the last (RFC 9113, section 6.8), or
/// if it refused the stream (section 8.7).
fn failure(error: &h2::Error) -> Failure {
    let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    if error.is_remote() && (error.is_go_away() || refused) {
        Failure::NeverSent(said(error))
    } else {
        Failure::Lost(said(error))
    }
}

fn said(error: &h2::Error) -> String {
    error.get_io().map_or_else(|| error.to_string(), io::Error::to_string)
}
