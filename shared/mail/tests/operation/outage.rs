//! A server in trouble: one pause for all senders, no attempt used up, a log line at its begin and one at its end.

use std::sync::Arc;
use std::time::Duration;

use mail::{Settings, Timeouts, Verdict, run};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::Level;

use crate::looking::Counted;
use crate::memory_queue::{MemoryQueue, State};
use crate::peer::{Act, Peer, Step};
use crate::recorder::Recorder;
use crate::{email, eventually, mailer};

const EMAILS: i64 = 200;
const SENDERS: usize = 4;
/// Enough for thousands of connections.
const A_WHILE: Duration = Duration::from_millis(600);
/// Pauses of 100, 200, 400 ms and so on, of which the upper half is random: in a while not more than three are over.
const ASKED_MAX: usize = 3;

fn settings() -> Settings {
    Settings {
        senders: SENDERS,
        poll_interval: Duration::from_millis(2),
        backoff_base: Duration::from_millis(100),
        backoff_max: Duration::from_secs(1),
        ..Settings::default()
    }
}

/// Senders of a queue full of emails.
struct World {
    queue: Counted,
    recorder: Recorder,
    senders: JoinHandle<()>,
    shutdown: CancellationToken,
    _listening: tracing::subscriber::DefaultGuard,
}

impl World {
    fn start(mailer: mail::Mailer, settings: Settings) -> Self {
        let (recorder, listening) = Recorder::start();
        let queue = Counted::over(MemoryQueue::with((1..=EMAILS).map(email)));
        let (wake, shutdown) = (Arc::new(Notify::new()), CancellationToken::new());
        let senders = tokio::spawn(run(queue.clone(), mailer, settings, wake, shutdown.clone()));
        Self { queue, recorder, senders, shutdown, _listening: listening }
    }

    /// How often the log said that trouble began, that it ended, and that an email was put off.
    fn told(&self) -> [usize; 3] {
        [
            self.recorder.lines(Level::WARN, "SMTP server takes no emails; all wait").len(),
            self.recorder.lines(Level::INFO, "SMTP server takes emails again").len(),
            self.recorder.lines(Level::WARN, "email put off").len(),
        ]
    }

    fn attempts(&self) -> i32 {
        (0..EMAILS).map(|index| self.queue.queue.attempts(usize::try_from(index).unwrap())).sum()
    }

    fn waiting(&self) -> usize {
        self.queue.queue.states().iter().filter(|state| matches!(state, State::Pending { .. })).count()
    }

    async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(10), self.senders).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn trouble_of_the_server_is_no_emails_and_is_told_twice() {
    for (step, act) in [
        (Step::Greeting, Act::Reply("421 try later")),
        (Step::Greeting, Act::Reply("554 not you")),
        (Step::Greeting, Act::Close),
        (Step::Ehlo, Act::Reply("451 not now")),
        (Step::Mail, Act::Reply("452 disk full")),
        (Step::Mail, Act::Close),
    ] {
        let peer = Peer::start([]).await;
        peer.always(move |at, _, _| if at == step { act } else { Act::Normal });
        let world = World::start(mailer(&peer), settings());
        sleep(A_WHILE).await;
        // A session that was opened for the next email counts as old by then, and another is tried where it fails.
        let bound = SENDERS + 2 * ASKED_MAX;
        assert!(peer.connections() <= bound, "{} connections, {step:?} {act:?}", peer.connections());
        assert!(world.queue.claims() <= SENDERS + ASKED_MAX, "{} claims, {step:?}", world.queue.claims());
        assert_eq!(world.told(), [1, 0, 0], "{step:?} {act:?}");
        eventually("all wait", || world.waiting() == usize::try_from(EMAILS).unwrap()).await;
        assert_eq!(world.attempts(), 0, "{step:?} {act:?}");

        peer.always(|_, _, _| Act::Normal);
        eventually("all are sent", || world.queue.queue.all(State::Sent)).await;
        assert_eq!((world.told(), world.attempts()), ([1, 1, 0], 200), "{step:?} {act:?}");
        world.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_refuses_connections_is_asked_by_one_sender_for_all() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    drop(listener);
    let world = World::start(mail::Mailer::new(&url, "shop@mail.example").unwrap(), settings());
    sleep(A_WHILE).await;
    // Where not even a session can be had, nothing is claimed.
    assert!(world.queue.claims() <= SENDERS, "{} claims", world.queue.claims());
    assert_eq!((world.told(), world.attempts()), ([1, 0, 0], 0));
    world.stop().await;
}

#[tokio::test]
async fn a_server_that_breaks_off_at_an_emails_own_command_is_left_alone_and_only_tried_emails_count() {
    for (step, act) in [
        (Step::Rcpt, Act::Close),
        (Step::Rcpt, Act::Reply("421 shutting down")),
        (Step::Data, Act::Silence),
        (Step::Content, Act::Close),
    ] {
        let peer = Peer::start([]).await;
        peer.always(move |at, _, _| if at == step { act } else { Act::Normal });
        let timeouts = Timeouts { command: Duration::from_millis(20), ..Timeouts::default() };
        let world = World::start(mailer(&peer).with_timeouts(timeouts), settings());
        sleep(A_WHILE).await;
        let bound = SENDERS + ASKED_MAX;
        assert!(peer.connections() <= bound, "{} connections, {step:?} {act:?}", peer.connections());
        let attempts = usize::try_from(world.attempts()).unwrap();
        assert!((1..=bound).contains(&attempts), "{attempts} attempts, {step:?} {act:?}");
        assert_eq!(world.told()[..2], [1, 0], "{step:?} {act:?}");
        world.stop().await;
    }
}

#[tokio::test]
async fn a_mailbox_that_is_busy_is_nobody_elses_affair() {
    let peer = Peer::start([]).await;
    peer.always(|step, _, _| if step == Step::Rcpt { Act::Reply("450 busy") } else { Act::Normal });
    let settings = Settings { backoff_base: Duration::from_mins(1), ..settings() };
    let world = World::start(mailer(&peer), settings);
    eventually("all were tried once", || i64::from(world.attempts()) == EMAILS).await;
    eventually("all are put off", || world.told() == [0, 0, usize::try_from(EMAILS).unwrap()]).await;
    world.stop().await;
}

/// If its trouble alone were told apart by the server's, it would be tried first again and again, and the others never.
#[tokio::test]
async fn a_mailbox_at_which_the_server_always_hangs_up_holds_nobody_up_and_fails_in_the_end() {
    let peer = Peer::start([]).await;
    peer.always(|step, command, _| {
        let poison = step == Step::Rcpt && command.contains("poison@");
        if poison { Act::Close } else { Act::Normal }
    });
    let settings =
        Settings { backoff_base: Duration::from_millis(2), attempts_max: 3, senders: 1, ..settings() };
    let poison = mail::QueuedEmail { to: "poison@mail.example".to_owned(), ..email(1) };
    let queue = MemoryQueue::with(std::iter::once(poison).chain((2..=5).map(email)));
    let shutdown = CancellationToken::new();
    let sender =
        tokio::spawn(run(queue.clone(), mailer(&peer), settings, Arc::new(Notify::new()), shutdown.clone()));
    eventually("the others are sent, it has failed", || {
        queue.states()[0] == State::Failed && queue.states()[1..].iter().all(|state| *state == State::Sent)
    })
    .await;
    assert!(matches!(queue.verdicts(0).last(), Some(Verdict::Failed { .. })));
    shutdown.cancel();
    sender.await.unwrap();
}

#[tokio::test]
async fn a_server_that_takes_one_session_only_gets_all_emails_over_that_one() {
    let peer = Peer::start([]).await;
    peer.always(|step, _, connection| match step {
        Step::Greeting if connection > 1 => Act::Reply("421 too many sessions"),
        _ => Act::Normal,
    });
    let world = World::start(mailer(&peer), settings());
    eventually("all are sent", || world.queue.queue.all(State::Sent)).await;
    assert!(peer.connections() <= SENDERS + ASKED_MAX, "{} connections", peer.connections());
    assert_eq!((world.told(), world.attempts()), ([1, 0, 0], 200));
    world.stop().await;
}
