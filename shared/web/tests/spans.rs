//! What a call leaves in a trace, held against the bytes that really travelled.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use http::{Method, StatusCode};
use opentelemetry::Value;
use opentelemetry::trace::{SpanKind, TracerProvider as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::SubscriberExt as _;
use web::{Call, Client, ClientSettings, Peer};

const ANSWER: &str =
    "HTTP/1.1 412 Precondition Failed\r\ncontent-type: text/plain\r\ncontent-length: 7\r\n\r\nrefused";

/// Keeps spans as they end.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

impl Kept {
    /// Records this thread's spans while the guard lives.
    fn spans() -> (Self, DefaultGuard) {
        opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
        let kept = Self::default();
        let tracer = SdkTracerProvider::builder().with_simple_exporter(kept.clone()).build().tracer("test");
        let registry =
            tracing_subscriber::registry().with(tracing_opentelemetry::layer().with_tracer(tracer));
        (kept, tracing::subscriber::set_default(registry))
    }

    fn take(&self) -> Vec<SpanData> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// Answers one request and tells what it received, byte by byte.
async fn listen() -> (Peer, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let received = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 64 * 1024];
        let mut length = 0;
        loop {
            length += stream.read(&mut request[length..]).await.unwrap();
            let text = String::from_utf8_lossy(&request[..length]);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let expected = head
                    .split("content-length: ")
                    .nth(1)
                    .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
                if body.len() >= expected {
                    break;
                }
            }
        }
        stream.write_all(ANSWER.as_bytes()).await.unwrap();
        request.truncate(length);
        request
    });
    let settings = ClientSettings { connect_timeout_ms: 250, call_timeout_ms: 5_000, outstanding_max: 8 };
    (Client::new(settings).unwrap().peer("billing", url), received)
}

fn attribute<'a>(span: &'a SpanData, name: &str) -> Option<&'a Value> {
    span.attributes.iter().find(|it| it.key.as_str() == name).map(|it| &it.value)
}

#[tokio::test]
async fn a_call_says_what_was_sent_and_received_to_the_byte() {
    let (kept, _guard) = Kept::spans();
    let body = serde_json::json!({"amount": 90});
    let calls = [
        (Call::get("/billing/user/1?verbose=1"), 0),
        (Call::post("/billing/withdraw/1", &body), body.to_string().len()),
        (Call::new(Method::POST, "/billing/nothing"), 0),
        (Call::get("/billing/empty").body(Bytes::new()), 0),
    ];
    for (call, body_bytes) in calls {
        let (peer, received) = listen().await;
        let answer = peer.send(call).await.unwrap();
        assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED);
        let received = received.await.unwrap();
        let spans = kept.take();
        let [span] = spans.as_slice() else { panic!("{spans:?}") };
        assert_eq!(span.span_kind, SpanKind::Client);
        let text = String::from_utf8_lossy(&received);
        assert!(text.contains("traceparent: 00-"), "{text}");
        for (name, value) in [
            ("http.request.body.size", body_bytes),
            ("http.request.size", received.len()),
            ("http.response.status_code", 412),
            ("http.response.body.size", "refused".len()),
            ("http.response.size", ANSWER.len()),
        ] {
            let value = i64::try_from(value).unwrap();
            assert_eq!(attribute(span, name), Some(&Value::I64(value)), "{name} of {text}");
        }
        assert_eq!(attribute(span, "error.type"), Some(&Value::String("412".into())));
    }
}

#[tokio::test]
async fn a_probe_leaves_no_span_and_a_call_without_an_answer_says_why() {
    let (kept, _guard) = Kept::spans();
    let (peer, received) = listen().await;
    assert!(peer.probe().await.is_err(), "412 is no health");
    let request = String::from_utf8(received.await.unwrap()).unwrap();
    assert!(!request.contains("traceparent"), "{request}");
    assert!(kept.take().is_empty());

    // Nobody listens any more.
    peer.send(Call::new(Method::POST, "/")).await.unwrap_err();
    let spans = kept.take();
    assert_eq!(attribute(&spans[0], "error.type"), Some(&Value::String("unreachable".into())));
    assert_eq!(attribute(&spans[0], "http.response.status_code"), None);
}
