//! Calls between a client and a server that are both well.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod trial;

use std::time::Duration;

use rpc::{CallError, Code};
use tokio::time::Instant;
use trial::{DEADLINE, Server, client, count, echo, echo_after};
use web::{PeerError, RequestContext};

#[tokio::test]
async fn a_call_is_answered_and_its_context_goes_along() {
    let server = Server::start().await;
    let client = client(&[server.address]);
    let context = RequestContext::background(Duration::from_millis(700));
    let id = context.id.clone();
    let answer = context.scope(async { client.echo(&echo("hello")).await.unwrap() }).await;
    assert_eq!((answer.text.as_str(), answer.request_id), ("hello", id));
    // A little less than the caller has.
    assert!((500..=680).contains(&answer.left_ms), "{} ms left", answer.left_ms);
    let usual = client.echo(&echo("")).await.unwrap();
    assert!((700..=980).contains(&usual.left_ms), "{} ms left", usual.left_ms);
    let patient = client.echo(&echo("")).timeout(DEADLINE * 2);
    let context = RequestContext::background(DEADLINE * 2);
    let patient = context.scope(async { patient.await.unwrap() }).await;
    assert!(u128::from(patient.left_ms) <= DEADLINE.as_millis(), "a caller cannot make the deadline longer");
}

#[tokio::test]
async fn a_refusal_arrives_with_its_reason_and_what_is_for_programs() {
    let server = Server::start().await;
    let error = client(&[server.address]).count(&count("insufficient-funds")).await.unwrap_err();
    let refusal = error.refusal().unwrap();
    assert_eq!((refusal.code, error.reason()), (Code::FailedPrecondition, "insufficient-funds"));
    assert_eq!((refusal.detail.as_str(), refusal.metadata["orderId"].as_str()), ("Not so.", "7"));
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn a_panic_is_internal_shows_nothing_and_harms_no_other_call() {
    // Its backtrace, where one is asked for, takes longer to write than a call may.
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str() != Some("a secret") {
            usual(panic);
        }
    }));
    let server = Server::start().await;
    let client = client(&[server.address]);
    let (slow, panicking) = (echo_after(200), count("panic"));
    let (slow, panicked) =
        tokio::join!(client.echo(&slow).into_future(), client.count(&panicking).into_future());
    let refusal = panicked.unwrap_err().refusal().unwrap().clone();
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::Internal, "internal"));
    assert!(!refusal.detail.contains("secret"), "{refusal}");
    slow.unwrap();
}

#[tokio::test]
async fn a_call_without_an_answer_in_time_ends_at_its_deadline() {
    let server = Server::start().await;
    let client = client(&[server.address]);
    let started = Instant::now();
    let error = client.echo(&echo_after(5_000)).once().timeout(Duration::from_millis(300)).await.unwrap_err();
    let took = started.elapsed();
    assert!((Duration::from_millis(200)..Duration::from_millis(600)).contains(&took), "{took:?}");
    assert_eq!(error.refusal().unwrap().code, Code::DeadlineExceeded, "{error}");
}

#[tokio::test]
async fn what_may_be_repeated_is_tried_three_times_and_the_rest_once() {
    let server = Server::start().await;
    let client = client(&[server.address]);
    let short = Duration::from_millis(60);
    client.echo(&echo_after(5_000)).timeout(short).await.unwrap_err();
    assert_eq!(server.calls(), 3);
    client.echo(&echo_after(5_000)).timeout(short).once().await.unwrap_err();
    client.count(&count("UNAVAILABLE")).await.unwrap_err();
    assert_eq!(server.calls(), 5);
}

#[tokio::test]
async fn nobody_is_there_and_that_is_known_at_once() {
    let address = trial::listen().await.local_addr().unwrap();
    let started = Instant::now();
    let error = client(&[address]).count(&count("")).await.unwrap_err();
    assert!(matches!(error, CallError::Peer(PeerError::Unreachable { .. })), "{error}");
    assert!(started.elapsed() < Duration::from_millis(200), "{:?}", started.elapsed());
}

#[test]
fn a_channel_that_is_made_outside_of_a_runtime_begins_with_its_first_call() {
    let address = "127.0.0.1:9".parse().unwrap();
    let away = client(&[address]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { away.echo(&echo("")).once().await.unwrap_err() });
}
