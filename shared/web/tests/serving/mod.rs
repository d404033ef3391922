//! A service in its frame, and a client that says what an HTTP library would not.

#![allow(dead_code, reason = "each file of tests uses a part of it")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use web::{Callers, ListenSettings, ServerSettings};

/// How long something that should happen soon may take.
pub const SOON: Duration = Duration::from_secs(10);
/// How long a request may take in [`serve`], once its body is there.
pub const DEADLINE: Duration = Duration::from_secs(1);
/// Connections that [`serve`] has room for.
pub const CONNECTIONS_MAX: usize = 2;

/// Serves `routes`, to whose clients it gives `body` to send theirs.
pub async fn serve_patiently(routes: Router, callers: Callers, body: Duration) -> SocketAddr {
    let listener = web::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let settings = ServerSettings {
        listen: ListenSettings {
            listen: address,
            connections_max: CONNECTIONS_MAX,
            head_timeout_ms: 1_000,
            body_timeout_ms: body.as_millis().try_into().unwrap(),
        },
        checks: Vec::new(),
        metrics: Arc::new(String::new),
        deadline: |_| DEADLINE,
        callers,
    };
    tokio::spawn(web::serve(listener, routes, settings, CancellationToken::new()));
    address
}

/// Serves `routes` to `callers`.
pub async fn serve(routes: Router, callers: Callers) -> SocketAddr {
    serve_patiently(routes, callers, Duration::from_millis(300)).await
}

/// An answer, as it came.
pub struct Answer(String);

impl Answer {
    /// Reads the answer, which ends with the connection.
    pub async fn read(mut stream: TcpStream) -> Self {
        let mut text = Vec::new();
        timeout(SOON, stream.read_to_end(&mut text)).await.expect("an answer").unwrap();
        Self(String::from_utf8(text).unwrap())
    }

    pub fn status(&self) -> u16 {
        self.0
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("{}", self.0))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let (head, _) = self.0.split_once("\r\n\r\n").unwrap();
        let mut fields = head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub fn body(&self) -> &str {
        self.0.split_once("\r\n\r\n").unwrap().1
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(self.body()).unwrap_or_else(|error| panic!("{error}: {}", self.0))
    }
}

/// Sends `head` (without its end), and `body` as it is.
pub async fn open(address: SocketAddr, head: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{head}\r\nconnection: close\r\n\r\n{body}").as_bytes()).await.unwrap();
    stream
}

/// Sends a whole request.
pub async fn ask(address: SocketAddr, method_and_path: &str, headers: &[&str], body: &str) -> Answer {
    let mut lines = vec![format!("{method_and_path} HTTP/1.1")];
    lines.extend(headers.iter().map(|&line| line.to_owned()));
    if !headers.iter().any(|line| line.starts_with("host:")) {
        lines.push(format!("host: {address}"));
    }
    if !body.is_empty() {
        lines.push(format!("content-length: {}", body.len()));
    }
    Answer::read(open(address, &lines.join("\r\n"), body).await).await
}
