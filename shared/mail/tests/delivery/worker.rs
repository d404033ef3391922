//! Rounds and the loop around them: what is recorded, when it is tried again, and how the worker stops.

use std::sync::Arc;
use std::time::Duration;

use mail::{DeliverError, Settings, Timeouts, Verdict, deliver_due, run};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::counters::Counters;
use crate::memory_queue::{MemoryQueue, State};
use crate::peer::{Act, Peer, Step};
use crate::{email, eventually, mailer};

/// Backs off for milliseconds and polls so rarely that only a wake-up can explain progress.
fn settings() -> Settings {
    Settings {
        poll_interval: Duration::from_mins(10),
        backoff_base: Duration::from_millis(2),
        backoff_max: Duration::from_millis(20),
        ..Settings::default()
    }
}

struct Worker {
    task: JoinHandle<()>,
    wake: Arc<Notify>,
    shutdown: CancellationToken,
}

impl Worker {
    fn start(queue: &MemoryQueue, peer: &Peer, settings: Settings) -> Self {
        let (wake, shutdown) = (Arc::new(Notify::new()), CancellationToken::new());
        let task = tokio::spawn(run(queue.clone(), mailer(peer), settings, wake.clone(), shutdown.clone()));
        Self { task, wake, shutdown }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(10), self.task).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn rounds_drain_the_queue_over_one_connection() {
    let peer = Peer::start([]).await;
    let queue = MemoryQueue::with((1..=5).map(email));
    let (mut mailer, settings) = (mailer(&peer), Settings { batch: 3, ..settings() });
    assert_eq!(deliver_due(&queue, &mut mailer, &settings).await.unwrap(), 3);
    assert_eq!(deliver_due(&queue, &mut mailer, &settings).await.unwrap(), 2);
    assert_eq!(deliver_due(&queue, &mut mailer, &settings).await.unwrap(), 0);
    assert!(queue.all(State::Sent));
    assert_eq!((peer.connections(), peer.messages().len()), (1, 5));
}

#[tokio::test]
async fn each_outcome_is_recorded_and_counted() {
    let counters = Counters::default();
    let _guard = metrics::set_default_local_recorder(&counters);
    let peer = Peer::start([
        (Step::Rcpt, Act::Normal),
        (Step::Rcpt, Act::Reply("550 no such user")),
        (Step::Rcpt, Act::Reply("451 not now")),
        (Step::Content, Act::Normal),
        (Step::Content, Act::Close),
    ])
    .await;
    let queue = MemoryQueue::with((1..=4).map(email));
    deliver_due(&queue, &mut mailer(&peer), &settings()).await.unwrap();

    assert_eq!(queue.verdicts(0), [Verdict::Sent]);
    assert!(matches!(&queue.verdicts(1)[..], [Verdict::Failed { reason }] if reason.contains("550")));
    assert!(matches!(&queue.verdicts(2)[..], [Verdict::Retry { maybe_delivered: false, .. }]));
    assert!(matches!(&queue.verdicts(3)[..], [Verdict::Retry { maybe_delivered: true, .. }]));
    for (outcome, count) in [("sent", 1), ("failed", 1), ("retried", 2)] {
        assert_eq!(counters.get("emails_total", outcome), count, "{outcome}");
    }
    assert_eq!(counters.get("email_deliveries_unknown_total", ""), 1);
}

#[tokio::test]
async fn an_unknown_delivery_is_sent_again_under_the_same_message_id() {
    let peer = Peer::start([(Step::Content, Act::Close), (Step::Data, Act::NormalThenClose)]).await;
    let queue = MemoryQueue::with([email(1)]);
    let (mut mailer, settings) = (mailer(&peer), settings());
    while !queue.all(State::Sent) {
        queue.pass_time();
        assert_eq!(deliver_due(&queue, &mut mailer, &settings).await.unwrap(), 1);
    }
    let ids = peer.message_ids();
    assert!(ids.len() >= 2 && ids.iter().all(|id| id == "<1.paid@mail.example>"), "{ids:?}");
}

#[tokio::test]
async fn an_email_is_given_up_after_its_last_attempt() {
    let peer = Peer::start([(Step::Rcpt, Act::Reply("451 not now")); 3]).await;
    let queue = MemoryQueue::with([email(1)]);
    let (mut mailer, settings) = (mailer(&peer), Settings { attempts_max: 3, ..settings() });
    for _ in 0..3 {
        queue.pass_time();
        deliver_due(&queue, &mut mailer, &settings).await.unwrap();
    }
    let verdicts = queue.verdicts(0);
    let [Verdict::Retry { .. }, Verdict::Retry { .. }, Verdict::Failed { reason }] = &verdicts[..] else {
        panic!("{verdicts:?}")
    };
    assert!(reason.starts_with("gave up after 3 attempts: ") && reason.contains("451"), "{reason}");
}

#[tokio::test]
async fn an_email_whose_lease_ran_out_is_taken_over_and_counted() {
    let counters = Counters::default();
    let _guard = metrics::set_default_local_recorder(&counters);
    let peer = Peer::start([]).await;
    let queue = MemoryQueue::with([email(1)]);
    let dead = mail::Queue::claim(&queue, 1, Duration::ZERO).await.unwrap();

    deliver_due(&queue, &mut mailer(&peer), &settings()).await.unwrap();
    assert!(queue.all(State::Sent));
    assert_eq!(counters.get("email_deliveries_unknown_total", ""), 1);
    assert!(!mail::Queue::record(&queue, &dead[0], &Verdict::Released).await.unwrap());
}

#[tokio::test]
async fn what_the_lease_has_no_room_for_is_released_uncounted() {
    let peer = Peer::start([]).await;
    let queue = MemoryQueue::with((1..=3).map(email));
    let mut mailer = mailer(&peer);
    // Hardly more than one slowest attempt, so the first one already uses up the room.
    let lease = mailer.send_max() + Duration::from_nanos(1);
    let settings = Settings { lease, ..settings() };
    assert_eq!(deliver_due(&queue, &mut mailer, &settings).await.unwrap(), 1);
    assert_eq!(queue.verdicts(2), [Verdict::Released]);
    assert_eq!(queue.attempts(2), 0);
}

#[tokio::test]
async fn a_lease_with_room_for_one_attempt_is_for_one_email() {
    let peer = Peer::start([]).await;
    let queue = MemoryQueue::with((1..=3).map(email));
    // Raised to exactly one slowest attempt.
    let settings = Settings { lease: Duration::ZERO, ..settings() };
    assert_eq!(deliver_due(&queue, &mut mailer(&peer), &settings).await.unwrap(), 1);
    assert_eq!((queue.verdicts(0), queue.verdicts(1)), (vec![Verdict::Sent], Vec::new()));
}

#[tokio::test]
async fn an_accepted_email_is_recorded_once_the_queue_is_back() {
    let peer = Peer::start([]).await;
    let queue = MemoryQueue::with([email(1)]);
    queue.fail_next_records(3);
    assert_eq!(deliver_due(&queue, &mut mailer(&peer), &settings()).await.unwrap(), 1);
    assert!(queue.all(State::Sent));
    assert_eq!(peer.messages().len(), 1);
}

#[tokio::test]
async fn an_email_that_cannot_be_recorded_is_left_when_its_lease_ends() {
    let peer = Peer::start([]).await;
    let queue = MemoryQueue::with((1..=2).map(email));
    queue.fail_next_records(usize::MAX);
    let timeouts = Timeouts { connect: Duration::from_millis(20), command: Duration::from_millis(20) };
    let mut mailer = mailer(&peer).with_timeouts(timeouts);
    // Room for two claims, and hardly more than one attempt.
    let settings = Settings { lease: mailer.send_max() + Duration::from_nanos(1), ..settings() };
    let error = deliver_due(&queue, &mut mailer, &settings).await.unwrap_err();
    assert!(matches!(error, DeliverError::Record { id: 1, .. }), "{error:?}");
    assert!(queue.states().iter().all(|state| matches!(state, State::Sending { .. })));
}

#[tokio::test]
async fn a_queue_that_cannot_be_reached_ends_the_round() {
    let peer = Peer::start([]).await;
    let queue = MemoryQueue::with([email(1)]);
    queue.fail_next_claims(1);
    let error = deliver_due(&queue, &mut mailer(&peer), &settings()).await.unwrap_err();
    assert!(matches!(error, DeliverError::Claim(_)));
    assert_eq!(peer.connections(), 0);
}

#[tokio::test]
async fn the_loop_survives_an_outage_of_the_queue_and_of_the_server() {
    let peer = Peer::start([
        (Step::Greeting, Act::Close),
        (Step::Greeting, Act::Reply("554 no")),
        (Step::Content, Act::Close),
    ])
    .await;
    let queue = MemoryQueue::with([email(1)]);
    queue.fail_next_claims(3);
    let worker =
        Worker::start(&queue, &peer, Settings { poll_interval: Duration::from_millis(2), ..settings() });
    eventually("sent at last", || queue.all(State::Sent)).await;
    worker.stop().await;
    assert_eq!(peer.message_ids(), ["<1.paid@mail.example>"; 2]);
}

#[tokio::test]
async fn a_wake_up_is_enough_to_send_at_once() {
    let peer = Peer::start([]).await;
    let queue = MemoryQueue::default();
    let worker = Worker::start(&queue, &peer, settings());
    for id in 1..=3 {
        queue.push(email(id));
        worker.wake.notify_one();
        eventually("sent before the poll", || queue.all(State::Sent)).await;
    }
    worker.stop().await;
    assert_eq!(peer.commands().last().map(String::as_str), Some("QUIT"));
}

#[tokio::test]
async fn shutdown_finishes_the_email_in_hand_and_releases_the_rest() {
    let peer = Peer::start([(Step::Content, Act::Silence)]).await;
    let queue = MemoryQueue::with((1..=3).map(email));
    let (wake, shutdown) = (Arc::new(Notify::new()), CancellationToken::new());
    let timeouts = Timeouts { command: Duration::from_millis(500), ..Timeouts::default() };
    let mailer = mailer(&peer).with_timeouts(timeouts);
    let task = tokio::spawn(run(queue.clone(), mailer, settings(), wake.clone(), shutdown.clone()));

    eventually("the first email is in hand", || peer.messages().len() == 1).await;
    let worker = Worker { task, wake, shutdown };
    worker.stop().await;
    assert!(matches!(&queue.verdicts(0)[..], [Verdict::Retry { maybe_delivered: true, .. }]));
    assert_eq!((queue.verdicts(1), queue.verdicts(2)), (vec![Verdict::Released], vec![Verdict::Released]));
    assert_eq!(peer.messages().len(), 1);
}
