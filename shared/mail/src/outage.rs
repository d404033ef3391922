//! Trouble with the server, which is the senders' affair and no email's: one pause for all of them, told when it begins and when
//! it is over.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use metrics::gauge;
use tokio::sync::MutexGuard;
use tokio::time::sleep;

use crate::{Mailer, Settings};

/// What the senders of one process know about the server.
#[derive(Default)]
pub(crate) struct Outage {
    /// `None` while all is well.
    trouble: Mutex<Option<Trouble>>,
    /// Who has it waits for the pause to pass and asks the server, for all that have no session.
    turn: tokio::sync::Mutex<()>,
}

struct Trouble {
    since: Instant,
    /// How often the server was asked in vain, in turn.
    failures: u32,
}

/// It is the holder's turn to ask the server. It has a session, on which one email shows whether the trouble is over.
pub(crate) struct Turn<'a>(#[expect(dead_code, reason = "held")] MutexGuard<'a, ()>);

impl Outage {
    /// Waits as long as the server is in trouble and `mailer` has no session: a session that lives is proof that the server
    /// still talks to its owner, so one that refuses further sessions is used by those who have one.
    ///
    /// Returns a turn to the one sender that got a session at last. Nothing is claimed meanwhile.
    pub(crate) async fn pass(&self, mailer: &mut Mailer, settings: &Settings) -> Option<Turn<'_>> {
        if mailer.has_session() || self.pause(settings).is_none() {
            return None;
        }
        let turn = self.turn.lock().await;
        // Nobody else ends it, so there is none any more if it was over when the turn came.
        while let Some(pause) = self.pause(settings) {
            sleep(pause).await;
            match mailer.open().await {
                Ok(()) => return Some(Turn(turn)),
                Err(reason) => self.goes_on(&reason),
            }
        }
        None
    }

    /// Learns whether a round met trouble, and which.
    pub(crate) fn learn(&self, turn: Option<Turn<'_>>, trouble: Option<&str>) {
        match (turn, trouble) {
            (None, None) => {}
            (None, Some(reason)) => self.begin(reason),
            // The others go on when this returns and the turn is over.
            (Some(_turn), Some(reason)) => self.goes_on(reason),
            (Some(_turn), None) => self.end(),
        }
    }

    fn begin(&self, reason: &str) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble.is_none() {
            *trouble = Some(Trouble { since: Instant::now(), failures: 1 });
            gauge!("email_server_trouble").set(1.0);
            tracing::warn!(reason, "SMTP server takes no emails; all wait");
        }
    }

    fn goes_on(&self, reason: &str) {
        tracing::debug!(reason, "SMTP server still takes no emails");
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(trouble) = &mut *trouble {
            trouble.failures = trouble.failures.saturating_add(1);
        }
    }

    fn end(&self) {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Trouble { since, failures }) = trouble {
            gauge!("email_server_trouble").set(0.0);
            tracing::info!(failures, lasted = ?since.elapsed(), "SMTP server takes emails again");
        }
    }

    /// How long to wait before the server is asked again; `None` while all is well.
    fn pause(&self, settings: &Settings) -> Option<Duration> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.as_ref().map(|trouble| settings.backoff(trouble.failures))
    }
}
