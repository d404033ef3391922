//! The mailer and its worker against a scripted SMTP server over real TCP.

#![allow(clippy::unwrap_used, reason = "clippy takes only `#[test]` functions for tests, not what they call")]

mod counters;
#[cfg(feature = "failpoints")]
mod crash_points;
mod memory_queue;
#[allow(dead_code, reason = "shared with the tests of operation")]
mod peer;
mod smtp;
mod worker;

use std::time::{Duration, Instant};

use mail::{Mailer, QueuedEmail};
use peer::Peer;

/// A mailer for a scripted server.
fn mailer(peer: &Peer) -> Mailer {
    Mailer::new(&peer.url(), "Shop <shop@mail.example>").unwrap()
}

/// An email as its first claimer sees it.
fn email(id: i64) -> QueuedEmail {
    QueuedEmail {
        id,
        message_id: format!("{id}.paid@mail.example"),
        to: "ann@mail.example".to_owned(),
        subject: "Your order".to_owned(),
        body: "It is paid.\n.\nThank you.\n".to_owned(),
        attempts: 1,
        taken_over: false,
        traceparent: None,
    }
}

/// Waits until `condition` holds; fails the test after a generous while.
async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 10 s: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
