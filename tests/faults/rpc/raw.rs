//! A gRPC client that says what no library would, and has no timers of its own.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::{BufMut as _, Bytes, BytesMut};
use h2::RecvStream;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, Request, StatusCode};
use prost::Message;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long an answer may take: longer than any deadline of a service.
const ANSWER_MAX: Duration = Duration::from_secs(40);

/// A connection to a service. It ends with the last of its clones and calls.
#[derive(Clone)]
pub struct Raw {
    send: SendRequest<Bytes>,
}

/// How a call was answered.
#[derive(Debug)]
pub struct Reply {
    pub http: StatusCode,
    pub headers: HeaderMap,
    pub trailers: HeaderMap,
}

impl Reply {
    /// The number of the status.
    pub fn status(&self) -> Option<&str> {
        let status = self.trailers.get("grpc-status").or_else(|| self.headers.get("grpc-status"));
        status?.to_str().ok()
    }
}

impl Raw {
    pub async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        let (send, connection) = h2::client::handshake(stream).await?;
        // What goes wrong with it shows at its calls.
        tokio::spawn(connection);
        Ok(Self { send })
    }

    /// Makes a call with these headers besides its own, and takes the answer to its end.
    pub async fn call(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        message: &impl Message,
    ) -> anyhow::Result<Reply> {
        let response = self.begin(path, headers, message).await?;
        let answered = async {
            let (head, body) = response.await?.into_parts();
            let (_, trailers) = received(body).await?;
            anyhow::Ok(Reply { http: head.status, headers: head.headers, trailers })
        };
        timeout(ANSWER_MAX, answered).await.with_context(|| format!("{path} is not answered"))?
    }

    /// Makes a call whose answer is a stream.
    pub async fn open(&self, path: &str, message: &impl Message) -> anyhow::Result<RecvStream> {
        let response = self.begin(path, &[], message).await?;
        let response = timeout(ANSWER_MAX, response).await.context("a stream begins")??;
        ensure!(response.status() == StatusCode::OK, "{response:?}");
        Ok(response.into_body())
    }

    async fn begin(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        message: &impl Message,
    ) -> anyhow::Result<ResponseFuture> {
        let mut request = Request::post(format!("http://service{path}"))
            .header("te", "trailers")
            .header("content-type", "application/grpc");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut send = self.send.clone().ready().await?;
        let (response, mut body) = send.send_request(request.body(())?, false)?;
        body.send_data(framed(message)?, true)?;
        Ok(response)
    }
}

/// What comes until a stream ends, and its trailers.
pub async fn received(mut body: RecvStream) -> anyhow::Result<(Bytes, HeaderMap)> {
    let mut received = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        received.extend_from_slice(&data);
    }
    Ok((received.freeze(), body.trailers().await?.unwrap_or_default()))
}

/// A message with its prefix.
pub fn framed(message: &impl Message) -> anyhow::Result<Bytes> {
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(message.encoded_len().try_into()?);
    message.encode(&mut framed)?;
    Ok(framed.freeze())
}
