//! The crash point between the final dot and its reply, in the stream itself: lettre writes the content, the dot and
//! reads the reply in one call. Used only in builds with crash points.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A TCP stream that passes `mail::final_dot` before it reads what follows a final dot.
#[derive(Debug)]
pub(crate) struct FinalDot {
    stream: TcpStream,
    written: bool,
}

impl FinalDot {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, written: false }
    }
}

impl AsyncRead for FinalDot {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.written) {
            fail::fail_point!("mail::final_dot");
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for FinalDot {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        // Content never ends like this: its dots at the start of a line are doubled (RFC 5321, section 4.5.2).
        self.written |= poll.is_ready() && bytes.ends_with(b"\r\n.\r\n");
        poll
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl AsyncTokioStream for FinalDot {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}
