//! The channel against peers that are no gRPC servers, or no good ones.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod trial;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::server::SendResponse;
use http::{HeaderMap, Response};
use rpc::CallError;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;
use trial::raw::framed;
use trial::{Server, channel_settings, channel_with, client, count, echo, eventually, listen};
use trial::{TrialServiceClient, rpc_settings};
use web::{PeerError, RequestContext};

/// Answers every call by `answer`, which has the number of the call on its connection.
async fn answering(answer: impl Fn(SendResponse<Bytes>, usize) + Clone + Send + 'static) -> SocketAddr {
    let listener = listen().await;
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                for number in 0.. {
                    let Some(Ok((_, response))) = connection.accept().await else { return };
                    answer(response, number);
                }
            });
        }
    });
    address
}

fn head() -> Response<()> {
    Response::builder().header("content-type", "application/grpc").body(()).unwrap()
}

fn trailers(status: &str) -> HeaderMap {
    HeaderMap::from_iter([("grpc-status".parse().unwrap(), status.parse().unwrap())])
}

fn is_unanswered(error: &CallError) -> bool {
    matches!(error, CallError::Peer(PeerError::Unanswered { .. }))
}

/// Whatever it is, it is no answer, no panic, and no hang.
#[tokio::test]
async fn an_answer_that_is_none_leaves_the_outcome_open() {
    let say = |body: Bytes, status: &'static str| {
        move |mut response: SendResponse<Bytes>, _| {
            let mut stream = response.send_response(head(), false).unwrap();
            stream.send_data(body.clone(), false).unwrap();
            stream.send_trailers(trailers(status)).unwrap();
        }
    };
    let no_status = |mut response: SendResponse<Bytes>, _| {
        let mut stream = response.send_response(head(), false).unwrap();
        stream.send_data(framed(b""), true).unwrap();
    };
    let http = |mut response: SendResponse<Bytes>, _| {
        response.send_response(Response::builder().status(502).body(()).unwrap(), true).unwrap();
    };
    let reset = |mut response: SendResponse<Bytes>, _| response.send_reset(Reason::INTERNAL_ERROR);
    let half = |mut response: SendResponse<Bytes>, _| {
        let mut stream = response.send_response(head(), false).unwrap();
        stream.send_data(framed(b"abc").slice(..4), false).unwrap();
        stream.send_reset(Reason::CANCEL);
    };
    let peers = [
        ("another message", answering(say(framed(b"\xff\xff\xff"), "0")).await),
        ("half a message", answering(say(framed(b"abc").slice(..6), "0")).await),
        ("no message", answering(say(Bytes::new(), "0")).await),
        ("two messages", answering(say([framed(b""), framed(b"")].concat().into(), "0")).await),
        ("too much", answering(say(framed(&vec![0; 2 * 1024 * 1024]), "0")).await),
        ("no status", answering(no_status).await),
        ("an answer of a proxy", answering(http).await),
        ("a reset", answering(reset).await),
        ("a reset in the middle", answering(half).await),
    ];
    for (what, address) in peers {
        let error = client(&[address]).count(&count("")).await.unwrap_err();
        assert!(is_unanswered(&error), "{what}: {error}");
    }
}

/// At the deadline itself its caller would be answered by whoever set it, who does not know what was asked.
#[tokio::test]
async fn a_call_that_is_never_answered_ends_in_time_for_its_caller_to_say_so() {
    // Held for ever: what is dropped is an answer.
    let address = answering(|response: SendResponse<Bytes>, _| std::mem::forget(response)).await;
    let client = client(&[address]);
    for _ in 0..5 {
        let context = RequestContext::background(Duration::from_millis(300));
        let deadline = context.deadline;
        let error = context.scope(async { client.echo(&echo("")).await.unwrap_err() }).await;
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(is_unanswered(&error) && !left.is_zero(), "{left:?} before the deadline: {error}");
    }
}

#[tokio::test]
async fn a_status_that_nobody_knows_is_a_refusal_and_no_panic() {
    let address = answering(|mut response: SendResponse<Bytes>, _| {
        let mut head = head();
        head.headers_mut().insert("grpc-status", "99".parse().unwrap());
        head.headers_mut().insert("grpc-status-details-bin", "!!".parse().unwrap());
        response.send_response(head, true).unwrap();
    })
    .await;
    let error = client(&[address]).count(&count("")).await.unwrap_err();
    assert_eq!(error.refusal().unwrap().code, rpc::Code::Unknown, "{error}");
}

/// It was never worked on, so even what must not be repeated goes out again.
#[tokio::test]
async fn a_stream_that_is_refused_was_never_sent() {
    let address = answering(|mut response: SendResponse<Bytes>, number| {
        if number == 0 {
            response.send_reset(Reason::REFUSED_STREAM);
            return;
        }
        let mut stream = response.send_response(head(), false).unwrap();
        stream.send_data(framed(b""), false).unwrap();
        stream.send_trailers(trailers("0")).unwrap();
    })
    .await;
    let server = Server::start().await;
    client(&[server.address, address]).count(&count("")).await.unwrap();
    for _ in 0..3 {
        let client = client(&[address]);
        // Its first call on every connection is refused, so this ends; but not as something that may have been done.
        let error = client.count(&count("")).await.unwrap_err();
        assert!(matches!(error, CallError::Peer(PeerError::Unreachable { .. })), "{error}");
    }
}

/// Speaks as much of HTTP/2 as it takes to say, to every call, that it came too late.
async fn leaving() -> SocketAddr {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const SETTINGS_ACK: [u8; 9] = [0, 0, 0, 4, 1, 0, 0, 0, 0];
    /// With the payload of the ping.
    const PONG: [u8; 9] = [0, 0, 8, 6, 1, 0, 0, 0, 0];
    /// The last call that was worked on: none.
    const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let listener = listen().await;
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                stream.read_exact(&mut [0; 24]).await.unwrap();
                stream.write_all(&SETTINGS).await.unwrap();
                let mut head = [0; 9];
                // Until the client has gone.
                while stream.read_exact(&mut head).await.is_ok() {
                    let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
                    stream.read_exact(&mut payload).await.unwrap();
                    let said = match (head[3], head[4]) {
                        (1, _) => GOAWAY.to_vec(),
                        (4, 0) => SETTINGS_ACK.to_vec(),
                        (6, 0) => [&PONG[..], &payload].concat(),
                        _ => Vec::new(),
                    };
                    // It may have gone meanwhile.
                    let _ = stream.write_all(&said).await;
                }
            });
        }
    });
    address
}

/// It crossed the peer's goodbye on its way, which names an earlier call as the last.
#[tokio::test]
async fn a_call_that_came_after_the_goodbye_was_never_sent() {
    let leaving = leaving().await;
    let server = Server::start().await;
    let both = client(&[leaving, server.address]);
    for _ in 0..10 {
        both.count(&count("")).await.unwrap();
    }
    let error = client(&[leaving]).count(&count("")).await.unwrap_err();
    assert!(matches!(error, CallError::Peer(PeerError::Unreachable { .. })), "{error}");
}

#[tokio::test]
async fn a_peer_that_speaks_something_else_cannot_be_reached() {
    let listener = listen().await;
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            // Until the client hangs up.
            tokio::spawn(async move { tokio::io::copy(&mut stream, &mut tokio::io::sink()).await });
        }
    });
    let error = client(&[address]).count(&count("")).await.unwrap_err();
    assert!(matches!(error, CallError::Peer(PeerError::Unreachable { .. })), "{error}");
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused_and_a_response_that_is_is_not_taken() {
    let server = Server::start_with(listen().await, rpc_settings());
    let mut settings = channel_settings();
    settings.response_bytes_max = 1000;
    let client = TrialServiceClient::new(channel_with(&[server.address], settings));
    let error = client.echo(&echo(&"x".repeat(100_000))).await.unwrap_err();
    let refusal = error.refusal().unwrap();
    assert_eq!((refusal.code, error.reason()), (rpc::Code::ResourceExhausted, "body-too-large"));
    assert_eq!(web::Problem::from(refusal).status, 413);
    let error = client.echo(&echo(&"x".repeat(2_000))).once().await.unwrap_err();
    assert!(is_unanswered(&error), "{error}");
}

#[tokio::test]
async fn a_peer_that_closes_in_the_middle_leaves_the_outcome_open() {
    let listener = listen().await;
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(stream).await.unwrap();
            tokio::spawn(async move { drop(connection.accept().await) });
        }
    });
    eventually("a call is taken, and broken off", async || {
        let error = client(&[address]).count(&count("")).await.unwrap_err();
        is_unanswered(&error)
    })
    .await;
}

#[tokio::test]
async fn a_thousand_calls_at_once_are_all_answered() {
    let server = Server::start().await;
    let client = client(&[server.address]);
    let message = echo(&"x".repeat(1_000));
    let calls = (0..1000).map(|_| client.echo(&message).into_future());
    let answers = futures_util::future::join_all(calls).await;
    let failed: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    assert!(failed.is_empty(), "{}: {:?}", failed.len(), failed.first());
    let patient = tokio::time::timeout(Duration::from_secs(1), client.echo(&echo("")).into_future());
    patient.await.unwrap().unwrap();
}
