//! The messages of these tests, and a handler that writes each down, or fails as it is told to.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use messaging::{Consumer, Event, Handler, HandlerError, Known, Outgoing, Said};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgConnection;

use crate::world::{Worker, World};

/// What is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Noted {
    pub key: String,
    pub number: i64,
}

/// What another consumer is interested in. Only its name is ever sent.
#[allow(dead_code, reason = "nobody here says or handles it")]
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Whispered {}

/// What the handler says about a note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Answered {
    pub number: i64,
}

/// What is never forgotten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Kept {
    pub key: String,
    pub number: i64,
}

messaging::messages! {
    "notes": Noted, Whispered;
    "answers": Answered;
    "kept": Kept;
}

messaging::consumes! {
    /// What the notebook handles.
    pub enum Notes of TYPES; { Noted }
}

messaging::consumes! {
    /// What somebody waits for.
    pub enum Answers of TYPES; { Answered }
}

messaging::consumes! {
    /// What is read again from the beginning.
    pub enum KeptNotes of TYPES; { Kept }
}

/// The note `number` of `key`, in order with all others of that key.
pub fn note(key: &str, number: i64) -> Outgoing {
    Outgoing::new(key, format_args!("note/{number}"), &Noted { key: key.to_owned(), number })
}

/// What goes wrong with a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It passes when the fault is taken away.
    Transient,
    /// It never passes.
    Permanent,
    /// Nor does this, which shows before the transaction.
    PermanentBefore,
    /// It passes, and shows before the transaction.
    TransientBefore,
}

/// Handling failed as the test wanted it, or because of the database.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("the fault {0:?}")]
    Fault(Fault),
    #[error("database error")]
    Database(#[from] sqlx::Error),
}

impl HandlerError for Failure {
    fn is_transient(&self) -> bool {
        match self {
            Self::Fault(fault) => matches!(fault, Fault::Transient | Fault::TransientBefore),
            Self::Database(sqlx::Error::Database(error)) => {
                error.code().is_some_and(|code| code.starts_with("57"))
            }
            Self::Database(error) => {
                matches!(error, sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Protocol(_))
            }
        }
    }
}

/// What the test tells its handlers.
#[derive(Debug, Default)]
pub struct Orders {
    faults: Mutex<HashMap<i64, Fault>>,
    /// How often a note met the fault it has.
    pub refused: AtomicU64,
    /// What each note takes.
    pub each_takes_ms: AtomicU64,
    /// Whether to end, like a crash, when effects are committed and offsets are not yet stored.
    pub die_when_committed: AtomicBool,
    /// Whether a note is answered.
    pub answer: AtomicBool,
    /// Most notes that were handled together.
    pub batch_max: AtomicUsize,
}

impl Orders {
    pub fn set(&self, number: i64, fault: Fault) {
        self.faults.lock().unwrap().insert(number, fault);
    }

    /// Takes away the fault of one note.
    pub fn mend(&self, number: i64) {
        self.faults.lock().unwrap().remove(&number);
    }

    pub fn clear(&self) {
        self.faults.lock().unwrap().clear();
    }

    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::SeqCst)
    }

    fn meet(&self, number: i64, before: bool) -> Result<(), Failure> {
        let Some(fault) = self.faults.lock().unwrap().get(&number).copied() else { return Ok(()) };
        if before != matches!(fault, Fault::PermanentBefore | Fault::TransientBefore) {
            return Ok(());
        }
        self.refused.fetch_add(1, Ordering::SeqCst);
        Err(Failure::Fault(fault))
    }
}

/// Writes notes into the table of effects; `ONCE`: with an inbox.
pub struct Notebook<const ONCE: bool = true> {
    pub member: &'static str,
    pub orders: Arc<Orders>,
}

impl<const ONCE: bool> Handler for Notebook<ONCE> {
    type Incoming = Notes;
    type Fact = ();
    type Error = Failure;

    const INBOX: bool = ONCE;

    async fn gather(&self, event: &Event<Notes>) -> Result<(), Failure> {
        let Notes::Noted(note) = &event.message;
        self.orders.meet(note.number, true)
    }

    async fn handle(
        &self,
        tx: &mut PgConnection,
        batch: &[&Known<Notes, ()>],
        said: &mut Said,
    ) -> Result<(), Failure> {
        self.orders.batch_max.fetch_max(batch.len(), Ordering::SeqCst);
        for Known { event, cause, .. } in batch {
            said.add(cause, self.note_down(tx, event).await?);
        }
        Ok(())
    }

    fn committed(&self) {
        assert!(!self.orders.die_when_committed.swap(false, Ordering::SeqCst), "as the test told it to");
    }
}

impl<const ONCE: bool> Notebook<ONCE> {
    async fn note_down(
        &self,
        tx: &mut PgConnection,
        event: &Event<Notes>,
    ) -> Result<Option<Outgoing>, Failure> {
        let Notes::Noted(note) = &event.message;
        // Before the fault: whatever fails afterwards must take it back.
        sqlx::query("insert into effects (key, number, event_id, member) values ($1, $2, $3, $4)")
            .bind(&note.key)
            .bind(note.number)
            .bind(event.metadata.inbox_key())
            .bind(self.member)
            .execute(tx)
            .await?;
        let each_takes_ms = self.orders.each_takes_ms.load(Ordering::SeqCst);
        if each_takes_ms > 0 {
            tokio::time::sleep(Duration::from_millis(each_takes_ms)).await;
        }
        self.orders.meet(note.number, false)?;
        if !self.orders.answer.load(Ordering::SeqCst) {
            return Ok(None);
        }
        let answer = Answered { number: note.number };
        let subject = format_args!("note/{}", note.number);
        Ok(Some(Outgoing::new(&note.key, subject, &answer).version(note.number)))
    }
}

impl World {
    /// A member of the group `reader`, at work.
    pub fn member(&self, member: &'static str, orders: &Arc<Orders>) -> Worker {
        let handler: Notebook = Notebook { member, orders: Arc::clone(orders) };
        let consumer = Consumer::new("reader", handler, self.outbox()).unwrap();
        Worker::run(|shutdown| consumer.run(shutdown))
    }

    /// The same without an inbox.
    pub fn forgetful_member(&self, member: &'static str, orders: &Arc<Orders>) -> Worker {
        let handler = Notebook::<false> { member, orders: Arc::clone(orders) };
        let consumer = Consumer::new("reader", handler, self.outbox()).unwrap();
        Worker::run(|shutdown| consumer.run(shutdown))
    }
}
