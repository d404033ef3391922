//! The client against a real server that misbehaves.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::any;
use futures_util::{future, stream};
use http::{HeaderMap, Method, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use web::{Call, Client, ClientSettings, Peer, PeerError, RequestContext, Retry};

/// How long something that should happen soon may take.
const SOON: Duration = Duration::from_secs(10);

async fn listen() -> (TcpListener, url::Url) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    (listener, url)
}

/// A server that answers everything with `status` and counts.
async fn answering(status: StatusCode) -> (url::Url, Arc<AtomicUsize>) {
    let (listener, url) = listen().await;
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let routes = Router::new().fallback(any(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        std::future::ready(status)
    }));
    tokio::spawn(axum::serve(listener, routes).into_future());
    (url, requests)
}

fn peer(url: url::Url, outstanding_max: usize) -> Peer {
    let settings = ClientSettings { connect_timeout_ms: 250, call_timeout_ms: 1_000, outstanding_max };
    Client::new(settings).unwrap().peer("peer", url)
}

#[tokio::test]
async fn what_may_be_repeated_is_tried_three_times_and_the_rest_once() {
    let (url, requests) = answering(StatusCode::SERVICE_UNAVAILABLE).await;
    let peer = peer(url, 8);
    assert_eq!(peer.send(Call::get("/")).await.unwrap().status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(requests.swap(0, Ordering::SeqCst), 3);
    peer.send(Call::post("/", &())).await.unwrap();
    assert_eq!(requests.swap(0, Ordering::SeqCst), 1);
    peer.send(Call::post("/", &()).retry(Retry::Yes)).await.unwrap();
    assert_eq!(requests.swap(0, Ordering::SeqCst), 3);
    let error = peer.ask(Call::get("/")).await.unwrap_err();
    assert!(matches!(error, PeerError::Unanswered { .. }), "a 503 does not say what was done: {error}");
}

#[tokio::test]
async fn an_answer_below_500_is_an_answer() {
    let (url, requests) = answering(StatusCode::CONFLICT).await;
    assert_eq!(peer(url, 8).ask(Call::get("/")).await.unwrap().status, StatusCode::CONFLICT);
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn retries_are_a_part_of_the_calls_and_not_a_multiple() {
    let (url, requests) = answering(StatusCode::SERVICE_UNAVAILABLE).await;
    let peer = peer(url, 64);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..300 {
        let peer = peer.clone();
        calls.spawn(async move { peer.send(Call::get("/")).await.map(drop) });
    }
    calls.join_all().await;
    let requests = requests.load(Ordering::SeqCst);
    // A fifth of the calls, and the hundred that a fresh budget of ten a second holds.
    assert!((300..=300 + 60 + 110).contains(&requests), "{requests} requests for 300 calls");
}

#[tokio::test]
async fn a_peer_that_cannot_be_reached_opens_the_breaker_and_one_that_is_back_closes_it() {
    let (listener, url) = listen().await;
    let address = listener.local_addr().unwrap();
    drop(listener);
    let peer = peer(url, 8);
    for _ in 0..5 {
        let error = peer.send(Call::post("/", &())).await.unwrap_err();
        assert!(matches!(error, PeerError::Unreachable { .. }), "{error}");
    }
    let error = peer.send(Call::post("/", &())).await.unwrap_err().to_string();
    assert!(error.contains("circuit breaker is open"), "{error}");

    let listener = TcpListener::bind(address).await.unwrap();
    tokio::spawn(axum::serve(listener, Router::new().fallback(any(|| async {}))).into_future());
    let deadline = Instant::now() + SOON;
    while peer.send(Call::get("/")).await.is_err() {
        assert!(Instant::now() < deadline, "the breaker stays open");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn answers_of_500_open_the_breaker_and_answers_of_503_do_not() {
    for (status, opens) in
        [(StatusCode::INTERNAL_SERVER_ERROR, true), (StatusCode::SERVICE_UNAVAILABLE, false)]
    {
        let (url, requests) = answering(status).await;
        let peer = peer(url, 8);
        for _ in 0..10 {
            drop(peer.send(Call::post("/", &())).await);
        }
        assert_eq!(requests.load(Ordering::SeqCst) < 10, opens, "{status}");
    }
}

/// A peer whose `/slow` never answers and whose `/endless` never ends. Counts how often it was asked for `/health`.
async fn partly_slow() -> (Peer, Arc<AtomicUsize>) {
    let (listener, url) = listen().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let health = any(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        std::future::ready(())
    });
    let endless = any(async || Body::from_stream(stream::pending::<Result<Bytes, Infallible>>()));
    let routes = Router::new()
        .route("/health", health)
        .route("/slow", any(std::future::pending::<()>))
        .route("/endless", endless)
        .fallback(any(async || {}));
    tokio::spawn(axum::serve(listener, routes).into_future());
    let settings = ClientSettings { connect_timeout_ms: 10_000, call_timeout_ms: 50, outstanding_max: 64 };
    (Client::new(settings).unwrap().peer("peer", url), asked)
}

/// Whatever it is that takes too long: the answer, the rest of the answer, or the caller's own hurry.
#[tokio::test]
async fn a_route_that_takes_too_long_does_not_close_the_peer_to_others() {
    let (peer, _) = partly_slow().await;
    for number in 0..3 {
        let slow = peer.send(Call::get("/slow")).await.unwrap_err().to_string();
        let endless = peer.send(Call::get("/endless")).await.unwrap_err().to_string();
        let own = Call::get("/slow").timeout(Duration::from_millis(10));
        let own = peer.send(own).await.unwrap_err().to_string();
        let hurry = RequestContext::background(Duration::from_millis(40));
        let hurried = hurry.scope(peer.send(Call::get("/slow"))).await.unwrap_err().to_string();
        for error in [slow, endless, own, hurried] {
            assert!(error.contains("no answer within"), "{number}: {error}");
        }
    }
    assert_eq!(peer.send(Call::get("/")).await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn many_time_outs_at_once_ask_the_peer_once_whether_it_is_there() {
    let (peer, asked) = partly_slow().await;
    let calls = (0..50).map(|_| peer.send(Call::post("/slow", &())));
    assert!(future::join_all(calls).await.iter().all(Result::is_err));
    let deadline = Instant::now() + SOON;
    while asked.load(Ordering::SeqCst) == 0 {
        assert!(Instant::now() < deadline, "nobody asks");
        tokio::task::yield_now().await;
    }
    // Stragglers may ask a second time.
    assert!(asked.load(Ordering::SeqCst) < 10, "asked {} times", asked.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_peer_that_takes_connections_and_says_nothing_opens_the_breaker() {
    let (_listener, url) = listen().await;
    let settings = ClientSettings { connect_timeout_ms: 10_000, call_timeout_ms: 20, outstanding_max: 64 };
    let peer = Client::new(settings).unwrap().peer("peer", url);
    let deadline = Instant::now() + SOON;
    loop {
        let error = peer.send(Call::get("/")).await.unwrap_err().to_string();
        if error.contains("circuit breaker is open") {
            break;
        }
        assert!(Instant::now() < deadline, "the breaker stays closed: {error}");
    }
}

#[tokio::test]
async fn a_request_that_did_not_get_through_in_time_was_not_done_and_no_client_of_ours_is_blamed() {
    let (url, requests) = answering(StatusCode::REQUEST_TIMEOUT).await;
    let error = peer(url, 8).send(Call::post("/", &()).retry(Retry::Yes)).await.unwrap_err();
    assert!(matches!(error, PeerError::Unreachable { .. }), "nothing was done: {error}");
    assert_eq!(requests.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn more_calls_than_may_be_outstanding_queue_and_give_up_at_their_deadline() {
    let (listener, url) = listen().await;
    let gate = Arc::new(Semaphore::new(0));
    let (waiting, entered) = (Arc::clone(&gate), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&entered);
    let routes = Router::new().fallback(any(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        let waiting = Arc::clone(&waiting);
        async move { waiting.acquire().await.unwrap().forget() }
    }));
    tokio::spawn(axum::serve(listener, routes).into_future());
    let peer = peer(url, 2);
    let two: Vec<_> = (0..2)
        .map(|_| {
            let peer = peer.clone();
            tokio::spawn(async move { peer.send(Call::get("/")).await })
        })
        .collect();
    let deadline = Instant::now() + SOON;
    while entered.load(Ordering::SeqCst) < 2 {
        assert!(Instant::now() < deadline, "two calls do not arrive");
        tokio::task::yield_now().await;
    }
    let third = RequestContext::background(Duration::from_millis(50)).scope(peer.send(Call::get("/"))).await;
    let error = third.unwrap_err();
    assert!(matches!(error, PeerError::Unreachable { .. }), "nothing was sent: {error}");
    gate.add_permits(2);
    for call in two {
        assert_eq!(call.await.unwrap().unwrap().status, StatusCode::OK);
    }
    assert_eq!(entered.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_call_ends_at_the_requests_deadline_and_passes_it_on_with_the_requests_id() {
    let (listener, url) = listen().await;
    let (sender, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let routes = Router::new().fallback(any(move |headers: HeaderMap| {
        sender.send(headers).unwrap();
        std::future::pending::<()>()
    }));
    tokio::spawn(axum::serve(listener, routes).into_future());
    let settings =
        ClientSettings { connect_timeout_ms: 10_000, call_timeout_ms: 3_600_000, outstanding_max: 8 };
    let peer = Client::new(settings).unwrap().peer("peer", url);
    let context = RequestContext::background(Duration::from_secs(1));
    let (id, started) = (context.id.clone(), Instant::now());
    let error = context.scope(peer.send(Call::new(Method::PUT, "/"))).await.unwrap_err();
    assert!(matches!(error, PeerError::Unanswered { .. }), "it was sent: {error}");
    // Long before the call's own hour.
    assert!(started.elapsed() < Duration::from_mins(1), "{:?}", started.elapsed());
    let headers = seen.recv().await.unwrap();
    assert_eq!(headers["x-request-id"], id);
    let left_ms: u64 = headers["x-deadline-ms"].to_str().unwrap().parse().unwrap();
    assert!((1..1_000).contains(&left_ms), "the peer gives up before its caller does: {left_ms}");
}

#[tokio::test]
async fn a_path_that_leads_elsewhere_is_not_sent() {
    let (url, requests) = answering(StatusCode::OK).await;
    let peer = peer(url, 8);
    for path in ["/orders/../metrics", "/orders/..\\metrics", "/orders/%2e%2e/metrics"] {
        let error = peer.send(Call::new(Method::GET, path)).await.unwrap_err();
        assert!(matches!(error, PeerError::Unreachable { .. }), "{path}: {error}");
    }
    assert_eq!(requests.load(Ordering::SeqCst), 0);
}
