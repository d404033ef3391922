//! The server's frame, seen by a client without manners.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod trial;

use std::time::Duration;

use futures_util::future::join_all;
use prost::Message as _;
use rpc::RpcSettings;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use trial::raw::Raw;
use trial::{EchoResponse, SOON, Server, client, count, echo, echo_after, listen, rpc_settings};

const ECHO: &str = "/trial.v1.TrialService/Echo";
const COUNT: &str = "/trial.v1.TrialService/Count";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
const CHECK: &str = "/grpc.health.v1.Health/Check";

const OK: &str = "0";
const INVALID_ARGUMENT: &str = "3";
const DEADLINE_EXCEEDED: &str = "4";
const NOT_FOUND: &str = "5";
const RESOURCE_EXHAUSTED: &str = "8";
const UNIMPLEMENTED: &str = "12";
const UNAVAILABLE: &str = "14";

fn of_service(service: &str) -> Vec<u8> {
    HealthCheckRequest { service: service.to_owned() }.encode_to_vec()
}

fn statuses(body: &[u8]) -> Vec<i32> {
    let (mut rest, mut statuses) = (body, Vec::new());
    while let [_, a, b, c, d, after @ ..] = rest {
        let (message, next) = after.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
        statuses.push(HealthCheckResponse::decode(message).unwrap().status);
        rest = next;
    }
    statuses
}

#[tokio::test]
async fn a_deadline_is_a_status_sixty_times_of_sixty_and_comes_before_the_callers_own() {
    let server = Server::start().await;
    let (raw, _connection) = Raw::connect(server.address).await;
    let message = echo_after(5_000).encode_to_vec();
    let calls = (0..60).map(async |_| {
        let started = Instant::now();
        let reply = raw.call(ECHO, &[("grpc-timeout", "300m")], &message).await.unwrap();
        (reply.status().to_owned(), started.elapsed())
    });
    let late = |took: &Duration| *took >= Duration::from_millis(300);
    let answers = join_all(calls).await;
    assert!(answers.iter().all(|(status, _)| status == DEADLINE_EXCEEDED), "{answers:?}");
    assert!(!answers.iter().any(|(_, took)| late(took)), "{answers:?}");
}

/// Whoever has no time to ask others says that they cannot be asked. Why it has none, its caller knows best.
#[tokio::test]
async fn who_has_too_little_time_to_ask_anybody_is_told_so_and_not_that_somebody_is_away() {
    let server = Server::start().await;
    let (raw, _connection) = Raw::connect(server.address).await;
    let unavailable = count("UNAVAILABLE").encode_to_vec();
    for (timeout, status) in [("20m", DEADLINE_EXCEEDED), ("45m", DEADLINE_EXCEEDED), ("2000m", UNAVAILABLE)]
    {
        let reply = raw.call(COUNT, &[("grpc-timeout", timeout)], &unavailable).await.unwrap();
        assert_eq!(reply.status(), status, "{timeout}");
    }
}

#[tokio::test]
async fn a_deadline_ends_a_stream_and_without_one_it_goes_on() {
    let server = Server::start().await;
    let (raw, _connection) = Raw::connect(server.address).await;
    let started = Instant::now();
    let (ended, endless) = tokio::join!(
        raw.call(WATCH, &[("grpc-timeout", "300m")], &[]),
        timeout(Duration::from_millis(600), raw.call(WATCH, &[], &[])),
    );
    let ended = ended.unwrap();
    assert_eq!((ended.status(), statuses(&ended.body)), (DEADLINE_EXCEEDED, vec![1]));
    assert!(started.elapsed() < SOON && endless.is_err());
}

#[tokio::test]
async fn what_is_no_call_of_a_method_here_is_refused_for_what_it_is() {
    let server = Server::start().await;
    let (raw, _connection) = Raw::connect(server.address).await;
    let too_large = vec![0; rpc_settings().request_bytes_max + 1];
    for (path, message, status) in [
        (ECHO, &b"\xff\xff\xff"[..], INVALID_ARGUMENT),
        (ECHO, &too_large, RESOURCE_EXHAUSTED),
        ("/trial.v1.TrialService/Nothing", b"", UNIMPLEMENTED),
        ("/other.Service/Echo", b"", UNIMPLEMENTED),
        ("/", b"", UNIMPLEMENTED),
    ] {
        let reply = raw.call(path, &[], message).await.unwrap();
        assert_eq!(reply.status(), status, "{path}");
    }
    assert_eq!(server.calls(), 0);
    let largest = echo(&"x".repeat(rpc_settings().request_bytes_max - 10)).encode_to_vec();
    assert_eq!(raw.call(ECHO, &[], &largest).await.unwrap().status(), OK);
}

#[tokio::test]
async fn headers_past_the_bound_are_refused_and_harm_no_other_call() {
    let server = Server::start().await;
    let (raw, _connection) = Raw::connect(server.address).await;
    let slow = raw.send(ECHO, &[], &echo_after(300).encode_to_vec()).await;
    let long = "x".repeat(17 * 1024);
    let reply = raw.call(ECHO, &[("x-long", &long)], &[]).await.unwrap();
    assert_eq!(reply.head.status(), 431);
    assert_eq!(slow.await.unwrap().status(), 200);
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn health_tells_of_each_service_and_of_none_that_is_not_known() {
    let server = Server::start().await;
    let (raw, _connection) = Raw::connect(server.address).await;
    for service in ["", "trial.v1.TrialService", "liveness"] {
        let reply = raw.call(CHECK, &[], &of_service(service)).await.unwrap();
        assert_eq!((reply.status(), statuses(&reply.body)), (OK, vec![1]), "{service:?}");
    }
    let reply = raw.call(CHECK, &[], &of_service("other")).await.unwrap();
    assert_eq!(reply.status(), NOT_FOUND);
    // A watcher is told that it is unknown, and goes on.
    let reply = raw.call(WATCH, &[("grpc-timeout", "200m")], &of_service("other")).await.unwrap();
    assert_eq!((reply.status(), statuses(&reply.body)), (DEADLINE_EXCEEDED, vec![3]));
}

#[tokio::test]
async fn a_server_that_stops_says_so_to_watchers_of_every_name_and_does_not_wait_for_them() {
    for service in ["", "trial.v1.TrialService"] {
        let server = Server::start().await;
        let (raw, _connection) = Raw::connect(server.address).await;
        let message = of_service(service);
        let mut watching = std::pin::pin!(raw.call(WATCH, &[], &message));
        assert!(timeout(Duration::from_millis(200), &mut watching).await.is_err());
        let started = Instant::now();
        let (reply, ()) = tokio::join!(watching, server.stopped());
        let reply = reply.unwrap();
        assert_eq!((reply.status(), statuses(&reply.body)), (UNAVAILABLE, vec![1, 2]), "{service:?}");
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn a_server_that_stops_lets_calls_end_and_takes_no_further_ones() {
    let server = Server::start().await;
    let (raw, connection) = Raw::connect(server.address).await;
    let slow = raw.send(ECHO, &[], &echo_after(500).encode_to_vec()).await;
    // It is there when a later call is answered.
    raw.call(ECHO, &[], &[]).await.unwrap();
    server.stop();
    timeout(SOON, server.stopped()).await.unwrap();
    assert_eq!(slow.await.unwrap().status(), 200);
    timeout(SOON, connection).await.expect("GOAWAY ends the connection").unwrap().unwrap();
    assert!(raw.send.clone().ready().await.is_err());
}

#[tokio::test]
async fn a_call_that_does_not_end_holds_up_a_stop_no_longer_than_the_bound() {
    let rpc = RpcSettings { drain_ms: 300, ..rpc_settings() };
    let server = Server::start_with(listen().await, rpc);
    let (raw, _connection) = Raw::connect(server.address).await;
    let endless = raw.send(ECHO, &[], &echo_after(2_900).encode_to_vec()).await;
    raw.call(ECHO, &[], &[]).await.unwrap();
    let started = Instant::now();
    server.stopped().await;
    let took = started.elapsed();
    assert!((Duration::from_millis(290)..Duration::from_millis(1_500)).contains(&took), "{took:?}");
    endless.await.unwrap_err();
}

#[tokio::test]
async fn a_client_that_says_nothing_or_half_of_it_is_cut_off() {
    let server = Server::start().await;
    for said in ["", "P", "PRI * HTTP/2.0\r\n\r\nSM", "GET / HTTP/1.1\r\nhost: x"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        // It is not told what is wrong with it, or by a reset.
        let _ = timeout(SOON, stream.read_to_end(&mut rest)).await.expect("it is cut off");
    }
}

#[tokio::test]
async fn probes_come_over_http_1_and_over_http_2() {
    let server = Server::start().await;
    for path in ["/health", "/ready", "/metrics"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(SOON, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let (raw, _connection) = Raw::connect(server.address).await;
    let request = http::Request::get(format!("http://{}/health", server.address)).body(()).unwrap();
    let (response, _) = raw.send.clone().ready().await.unwrap().send_request(request, true).unwrap();
    assert_eq!(response.await.unwrap().status(), 200);
}

#[tokio::test]
async fn reflection_lists_all_services_and_only_if_it_is_switched_on() {
    let message = {
        use tonic_reflection::pb::v1::{ServerReflectionRequest, server_reflection_request::MessageRequest};
        let list = Some(MessageRequest::ListServices(String::new()));
        ServerReflectionRequest { host: String::new(), message_request: list }.encode_to_vec()
    };
    for (reflection, status) in [(true, OK), (false, UNIMPLEMENTED)] {
        let rpc = RpcSettings { reflection, ..rpc_settings() };
        let server = Server::start_with(listen().await, rpc);
        let (raw, _connection) = Raw::connect(server.address).await;
        for version in ["v1", "v1alpha"] {
            let path = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
            let reply = raw.call(&path, &[], &message).await.unwrap();
            assert_eq!(reply.status(), status);
            let text = String::from_utf8_lossy(&reply.body);
            for service in ["trial.v1.TrialService", "grpc.health.v1.Health"] {
                assert_eq!(text.contains(service), reflection, "{text}");
            }
        }
    }
}

/// Of a refusal that comes without its type, a client sees only bytes.
#[tokio::test]
async fn reflection_knows_the_details_of_refusals() {
    use tonic_reflection::pb::v1::{ServerReflectionRequest, server_reflection_request::MessageRequest};
    let server = Server::start_with(listen().await, RpcSettings { reflection: true, ..rpc_settings() });
    let (raw, _connection) = Raw::connect(server.address).await;
    let symbol = MessageRequest::FileContainingSymbol("google.rpc.ErrorInfo".to_owned());
    let message = ServerReflectionRequest { host: String::new(), message_request: Some(symbol) };
    let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    let reply = raw.call(path, &[], &message.encode_to_vec()).await.unwrap();
    let text = String::from_utf8_lossy(&reply.body);
    assert!(text.contains("error_details.proto"), "{text}");
}

#[tokio::test]
async fn a_request_id_comes_back() {
    let server = Server::start().await;
    let (raw, _connection) = Raw::connect(server.address).await;
    let reply = raw.call(ECHO, &[("x-request-id", "seven")], &[]).await.unwrap();
    assert_eq!(reply.head.headers()["x-request-id"], "seven");
    assert_eq!(EchoResponse::decode(&reply.body[5..]).unwrap().request_id, "seven");
}

#[tokio::test]
async fn a_client_that_hangs_up_ends_its_calls_and_no_others() {
    let server = Server::start().await;
    let (raw, connection) = Raw::connect(server.address).await;
    drop(raw.send(ECHO, &[], &echo_after(5_000).encode_to_vec()).await);
    raw.call(ECHO, &[], &[]).await.unwrap();
    connection.abort();
    client(&[server.address]).count(&count("")).await.unwrap();
    // Nothing is under way any more.
    timeout(Duration::from_secs(2), server.stopped()).await.unwrap();
}
