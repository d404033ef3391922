//! The queue's contract, in memory.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mail::{Queue, QueuedEmail, Verdict};

#[derive(Clone, Default)]
pub struct MemoryQueue(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    rows: Vec<Row>,
    /// How many of the next claims fail.
    claims_failing: usize,
    /// How many of the next records fail.
    records_failing: usize,
}

struct Row {
    email: QueuedEmail,
    state: State,
    verdicts: Vec<Verdict>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Pending { due: Instant },
    Sending { lease_end: Instant },
    Sent,
    Failed,
}

impl MemoryQueue {
    pub fn with(emails: impl IntoIterator<Item = QueuedEmail>) -> Self {
        let queue = Self::default();
        emails.into_iter().for_each(|email| queue.push(email));
        queue
    }

    pub fn push(&self, mut email: QueuedEmail) {
        email.attempts = 0;
        let row = Row { email, state: State::Pending { due: Instant::now() }, verdicts: Vec::new() };
        self.0.lock().unwrap().rows.push(row);
    }

    pub fn fail_next_claims(&self, calls: usize) {
        self.0.lock().unwrap().claims_failing = calls;
    }

    pub fn fail_next_records(&self, calls: usize) {
        self.0.lock().unwrap().records_failing = calls;
    }

    /// As if every lease had run out and every wait were over.
    pub fn pass_time(&self) {
        let now = Instant::now();
        for row in &mut self.0.lock().unwrap().rows {
            match &mut row.state {
                State::Pending { due: time } | State::Sending { lease_end: time } => *time = now,
                State::Sent | State::Failed => {}
            }
        }
    }

    pub fn states(&self) -> Vec<State> {
        self.0.lock().unwrap().rows.iter().map(|row| row.state).collect()
    }

    pub fn all(&self, state: State) -> bool {
        self.states().iter().all(|other| *other == state)
    }

    /// The verdicts recorded for the n-th email pushed.
    pub fn verdicts(&self, index: usize) -> Vec<Verdict> {
        self.0.lock().unwrap().rows[index].verdicts.clone()
    }

    pub fn attempts(&self, index: usize) -> i32 {
        self.0.lock().unwrap().rows[index].email.attempts
    }
}

/// One call to a database that is down for so many more.
fn reach(failing: &mut usize) -> io::Result<()> {
    if *failing == 0 {
        return Ok(());
    }
    *failing -= 1;
    Err(io::Error::other("the database is down"))
}

impl Queue for MemoryQueue {
    type Error = io::Error;

    async fn claim(&self, limit: usize, lease: Duration) -> io::Result<Vec<QueuedEmail>> {
        let inner = &mut *self.0.lock().unwrap();
        reach(&mut inner.claims_failing)?;
        let now = Instant::now();
        let due = |row: &Row| match row.state {
            State::Pending { due: time } | State::Sending { lease_end: time } => Some(time),
            State::Sent | State::Failed => None,
        };
        let claim = |row: &mut Row| {
            row.email.attempts += 1;
            let taken_over = matches!(row.state, State::Sending { .. });
            row.state = State::Sending { lease_end: now + lease };
            QueuedEmail { taken_over, ..row.email.clone() }
        };
        let mut rows: Vec<_> =
            inner.rows.iter_mut().filter(|row| due(row).is_some_and(|time| time <= now)).collect();
        rows.sort_by_key(|row| due(row));
        Ok(rows.into_iter().take(limit).map(claim).collect())
    }

    async fn record(&self, email: &QueuedEmail, verdict: &Verdict) -> io::Result<bool> {
        let inner = &mut *self.0.lock().unwrap();
        reach(&mut inner.records_failing)?;
        let row = inner.rows.iter_mut().find(|row| row.email.id == email.id).unwrap();
        if row.email.attempts != email.attempts || !matches!(row.state, State::Sending { .. }) {
            return Ok(false);
        }
        row.verdicts.push(verdict.clone());
        row.state = match verdict {
            Verdict::Sent => State::Sent,
            Verdict::Failed { .. } => State::Failed,
            Verdict::Retry { after, .. } => State::Pending { due: Instant::now() + *after },
            Verdict::Released => {
                row.email.attempts -= 1;
                State::Pending { due: Instant::now() }
            }
        };
        Ok(true)
    }
}
