//! The worker dies at each crash point and another takes over: nothing is lost, and a copy is made only where SMTP
//! cannot tell, under the same Message-ID.

use std::thread;

use fail::FailGuard;
use mail::{Settings, deliver_due};

use crate::memory_queue::{MemoryQueue, State};
use crate::peer::Peer;
use crate::{email, eventually, mailer};

/// Delivers with a worker that panics at `point`, then with one that does not. Returns how many copies arrived.
async fn crash_at(point: &'static str) -> usize {
    let peer = Peer::start([]).await;
    let queue = MemoryQueue::with([email(1)]);

    // Crash points are global; the runtime of each test has only the test's own thread.
    let here = thread::current().id();
    let crash =
        FailGuard::with_callback(point, move || assert_ne!(thread::current().id(), here, "crash")).unwrap();
    let (mut doomed, victim) = (mailer(&peer), queue.clone());
    let crashed =
        tokio::spawn(async move { deliver_due(&victim, &mut doomed, &Settings::default()).await.is_ok() });
    assert!(crashed.await.is_err_and(|error| error.is_panic()), "{point} was not reached");
    drop(crash);
    let dot_written = ["mail::final_dot", "mail::accepted", "mail::sent"].contains(&point);
    eventually("what was written has arrived", || peer.messages().len() == usize::from(dot_written)).await;
    assert_eq!(queue.all(State::Sent), point == "mail::sent", "{point}");

    queue.pass_time();
    deliver_due(&queue, &mut mailer(&peer), &Settings::default()).await.unwrap();
    assert!(queue.all(State::Sent), "{point}");
    assert!(peer.message_ids().iter().all(|id| id == "<1.paid@mail.example>"), "{point}");
    peer.messages().len()
}

#[tokio::test]
async fn a_crash_before_the_final_dot_makes_no_copy() {
    for point in ["mail::sending", "mail::connected", "mail::data"] {
        assert_eq!(crash_at(point).await, 1, "{point}");
    }
}

#[tokio::test]
async fn a_crash_between_the_final_dot_and_the_record_makes_one_copy() {
    for point in ["mail::final_dot", "mail::accepted"] {
        assert_eq!(crash_at(point).await, 2, "{point}");
    }
}

#[tokio::test]
async fn a_crash_after_the_record_makes_no_copy() {
    assert_eq!(crash_at("mail::sent").await, 1);
}
