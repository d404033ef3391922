//! When a sender looks for work: after work, when it is woken, and not before.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mail::{DeliverError, Mailer, Queue, QueuedEmail, Settings, Timeouts, Verdict, deliver_due, run};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::memory_queue::{MemoryQueue, State};
use crate::peer::{Act, Peer, Step};
use crate::{email, eventually, mailer};

/// A queue that counts how often it is looked into.
#[derive(Clone, Default)]
pub struct Counted {
    pub queue: MemoryQueue,
    claims: Arc<AtomicUsize>,
}

impl Counted {
    pub fn over(queue: MemoryQueue) -> Self {
        Self { queue, ..Self::default() }
    }

    pub fn claims(&self) -> usize {
        self.claims.load(Ordering::SeqCst)
    }
}

impl Queue for Counted {
    type Error = io::Error;

    async fn claim(&self, limit: usize, lease: Duration) -> io::Result<Vec<QueuedEmail>> {
        self.claims.fetch_add(1, Ordering::SeqCst);
        self.queue.claim(limit, lease).await
    }

    async fn record(&self, email: &QueuedEmail, verdict: &Verdict) -> io::Result<bool> {
        self.queue.record(email, verdict).await
    }
}

/// Polls so rarely that only a wake-up can explain progress.
fn settings() -> Settings {
    Settings { poll_interval: Duration::from_mins(10), ..Settings::default() }
}

fn start(queue: &Counted, mailer: Mailer, settings: Settings, wake: &Arc<Notify>) -> JoinHandle<()> {
    tokio::spawn(run(queue.clone(), mailer, settings, wake.clone(), CancellationToken::new()))
}

#[tokio::test]
async fn a_sender_looks_again_after_work_and_then_waits_until_it_is_woken() {
    let peer = Peer::start([]).await;
    let (queue, wake) = (Counted::default(), Arc::new(Notify::new()));
    queue.queue.push(email(1));
    let sender = start(&queue, mailer(&peer), settings(), &wake);
    eventually("it looks again", || queue.claims() == 2).await;
    // Enough for thousands of looks.
    sleep(Duration::from_millis(100)).await;
    assert_eq!(queue.claims(), 2);
    wake.notify_one();
    eventually("it was woken", || queue.claims() == 3).await;
    sender.abort();
}

#[tokio::test]
async fn more_than_a_senders_worth_wakes_another() {
    let peer = Peer::start([(Step::Content, Act::Normal), (Step::Content, Act::Silence)]).await;
    let timeouts = Timeouts { command: Duration::from_mins(1), ..Timeouts::default() };
    let (queue, wake) = (Counted::default(), Arc::new(Notify::new()));
    let settings = Settings { senders: 2, batch: 1, ..settings() };
    let senders = start(&queue, mailer(&peer).with_timeouts(timeouts), settings, &wake);
    eventually("both have looked", || queue.claims() == 2).await;
    (1..=3).for_each(|id| queue.queue.push(email(id)));
    wake.notify_one();
    // One sender waits for a minute with the second or third email in hand.
    eventually("all were written", || peer.messages().len() == 3).await;
    senders.abort();
}

#[tokio::test]
async fn what_cannot_be_recorded_in_time_is_given_up_at_once() {
    let peer = Peer::start([]).await;
    let queue = MemoryQueue::with([email(1)]);
    queue.fail_next_records(usize::MAX);
    let mut mailer = mailer(&peer);
    let patient = Duration::from_mins(10);
    let settings = Settings {
        lease: mailer.send_max() + Duration::from_secs(1),
        backoff_base: patient,
        backoff_max: patient,
        ..settings()
    };
    let started = Instant::now();
    let error = deliver_due(&queue, &mut mailer, &settings).await.unwrap_err();
    assert!(matches!(error, DeliverError::Record { id: 1, .. }), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(!queue.all(State::Sent));
}

/// The session had ended, as far as anybody knew, but it was the server that spoke, and about this email.
#[tokio::test]
async fn an_email_that_is_refused_over_an_old_session_is_not_sent_over_a_new_one() {
    let peer = Peer::start([(Step::Mail, Act::Normal), (Step::Mail, Act::Reply("550 no"))]).await;
    let mut mailer = mailer(&peer);
    assert_eq!(mailer.send(&email(1)).await, mail::Delivery::Accepted);
    let refused = mailer.send(&email(2)).await;
    assert!(matches!(refused, mail::Delivery::Refused { .. }), "{refused:?}");
    assert_eq!((peer.connections(), peer.messages().len()), (1, 1));
}
