//! The sink's connections: the SMTP protocol is mailin's, the reading and writing and the faults are ours.

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use mailin::{
    Action, Handler, Response, SessionBuilder,
    response::{INTERNAL_ERROR, NO_MAILBOX, NO_STORAGE, OK, START_DATA},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::smtp_inbox::{Behaviour, Inbox};

/// RFC 5321 (4.5.3.1.6) asks for 1000 and lets servers take more.
const LINE_BYTES_MAX: u64 = 8 * 1024;
const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// RFC 5321 (4.5.3.2.7): how long a server waits for the next command.
const IDLE_MAX: Duration = Duration::from_mins(5);

/// After a failed `accept` (no file descriptor left, say), before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Tells the loop to drop the connection without a word; the one answer with code 421 that is never sent.
const HANG_UP: Response = Response::custom(421, String::new());

/// Talks to every client that comes until `stop` is cancelled.
pub(crate) async fn serve(listener: TcpListener, inbox: Arc<Inbox>, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let session = converse(stream, peer.ip(), Arc::clone(&inbox));
                    connections.spawn(async move {
                        if let Err(error) = session.await {
                            debug!(%peer, %error, "SMTP connection lost");
                        }
                    });
                }
                Err(error) => {
                    warn!(%error, "the SMTP sink cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    // First no new connections, then no old ones.
    drop(listener);
    connections.shutdown().await;
}

/// Talks to one client until it quits, breaks off or is dropped.
async fn converse(stream: TcpStream, peer: IpAddr, inbox: Arc<Inbox>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    if inbox.behaviour() == Behaviour::NotAvailable {
        return reply(&mut stream, &Response::custom(421, "Service not available".to_owned())).await;
    }
    let receiver = Receiver { inbox, message: Vec::new(), too_long: false };
    let mut session = SessionBuilder::new("sandbox").build(peer, receiver);
    reply(&mut stream, &session.greeting()).await?;
    let mut line = Vec::new();
    let mut in_message = false;
    while timeout(IDLE_MAX, read_line(&mut stream, &mut line)).await?? {
        if !line.ends_with(b"\r\n") {
            return reply(&mut stream, &Response::custom(500, "Line too long".to_owned())).await;
        }
        let response = session.process(&line);
        if response.code == HANG_UP.code {
            return Ok(());
        }
        if response.action != Action::NoReply {
            reply(&mut stream, &response).await?;
        }
        let at_end = in_message && line == b".\r\n";
        // mailin would take what follows a refused message for more of that message.
        if response.action == Action::Close || (at_end && response.is_error) {
            return Ok(());
        }
        in_message = (in_message && !at_end) || response.code == START_DATA.code;
    }
    Ok(())
}

/// Reads up to and including the next CRLF; less at the end of the stream or at the limit. `false`: nothing came.
/// A bare line feed ends no line, or part of a message could pass for its end (RFC 5321, 2.3.8).
async fn read_line(stream: &mut BufReader<TcpStream>, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let mut bounded = stream.take(LINE_BYTES_MAX);
    while bounded.read_until(b'\n', line).await? > 0 && !line.ends_with(b"\r\n") {}
    Ok(!line.is_empty())
}

async fn reply(stream: &mut BufReader<TcpStream>, response: &Response) -> io::Result<()> {
    stream.write_all(&response.buffer()?).await
}

/// Collects one message at a time. mailin calls it and has already removed the stuffed dots.
struct Receiver {
    inbox: Arc<Inbox>,
    message: Vec<u8>,
    too_long: bool,
}

impl Handler for Receiver {
    fn rcpt(&mut self, _to: &str) -> Response {
        match self.inbox.behaviour() {
            Behaviour::RejectRecipient => NO_MAILBOX,
            Behaviour::Defer => Response::custom(451, "Try again later".to_owned()),
            _ => OK,
        }
    }

    fn data_start(&mut self, _domain: &str, _from: &str, _is8bit: bool, _to: &[String]) -> Response {
        self.message.clear();
        self.too_long = false;
        match self.inbox.behaviour() {
            Behaviour::CloseBeforeData => HANG_UP,
            _ => OK,
        }
    }

    /// Never fails: an error here would be answered in the middle of the message.
    fn data(&mut self, line: &[u8]) -> io::Result<()> {
        self.too_long |= self.message.len() + line.len() > MESSAGE_BYTES_MAX;
        if !self.too_long {
            self.message.extend_from_slice(line);
        }
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        let behaviour = self.inbox.behaviour();
        if self.too_long {
            return NO_STORAGE;
        }
        if behaviour == (Behaviour::CloseAfterData { store: false }) {
            return HANG_UP;
        }
        // Stored before it is acknowledged: the client forgets a message as soon as it reads the 250.
        match self.inbox.store(&self.message) {
            Err(error) => {
                warn!(%error, "the SMTP sink cannot store a message");
                INTERNAL_ERROR
            }
            Ok(()) if behaviour == (Behaviour::CloseAfterData { store: true }) => HANG_UP,
            Ok(()) => OK,
        }
    }
}
