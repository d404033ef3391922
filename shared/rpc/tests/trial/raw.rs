//! A client that says what no library would, and has no timers of its own.

use std::net::SocketAddr;

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, Request, Response};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::SOON;

/// A connection.
#[derive(Clone)]
pub struct Raw {
    address: SocketAddr,
    pub send: SendRequest<Bytes>,
}

/// What was answered.
#[derive(Debug)]
pub struct Reply {
    pub head: Response<()>,
    pub body: Bytes,
    pub trailers: HeaderMap,
}

impl Raw {
    /// Connects. The task ends with the connection.
    pub async fn connect(address: SocketAddr) -> (Self, JoinHandle<Result<(), h2::Error>>) {
        let stream = TcpStream::connect(address).await.unwrap();
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        (Self { address, send }, tokio::spawn(connection))
    }

    /// Sends a call with these headers besides its own.
    pub async fn send(&self, path: &str, headers: &[(&str, &str)], message: &[u8]) -> ResponseFuture {
        let mut request = Request::post(format!("http://{}{path}", self.address))
            .header("te", "trailers")
            .header("content-type", "application/grpc");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut send = self.send.clone().ready().await.unwrap();
        let (response, mut body) = send.send_request(request.body(()).unwrap(), false).unwrap();
        body.send_data(framed(message), true).unwrap();
        response
    }

    /// Makes a call, and takes the answer to its end.
    pub async fn call(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        message: &[u8],
    ) -> Result<Reply, h2::Error> {
        timeout(SOON, self.answered(path, headers, message)).await.expect("an answer that ends")
    }

    async fn answered(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        message: &[u8],
    ) -> Result<Reply, h2::Error> {
        let response = self.send(path, headers, message).await.await?;
        let (head, mut body) = response.into_parts();
        let mut received = BytesMut::new();
        while let Some(data) = body.data().await {
            let data = data?;
            body.flow_control().release_capacity(data.len()).unwrap();
            received.extend_from_slice(&data);
        }
        let trailers = body.trailers().await?.unwrap_or_default();
        Ok(Reply { head: Response::from_parts(head, ()), body: received.freeze(), trailers })
    }
}

impl Reply {
    /// The number of the status.
    pub fn status(&self) -> &str {
        let status = self.trailers.get("grpc-status").or_else(|| self.head.headers().get("grpc-status"));
        status.unwrap_or_else(|| panic!("{self:?}")).to_str().unwrap()
    }
}

/// A message with its prefix.
pub fn framed(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(message.len().try_into().unwrap());
    framed.put_slice(message);
    framed.freeze()
}
