//! What all connections of the sink share: the mailbox that mail goes into, and what is done to a client instead.

use std::{
    fs, io,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use tokio::sync::watch;

use crate::Mailbox;

/// What the sink does to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Behaviour {
    /// Takes every message.
    #[default]
    Accept,
    /// Greets every client with 421 and hangs up: the service as a whole is not available.
    NotAvailable,
    /// Answers every recipient with 550: permanent, no use trying again.
    RejectRecipient,
    /// Answers every recipient with 451: transient, to be tried again later.
    Defer,
    /// Drops the connection instead of answering DATA: certainly nothing was delivered.
    CloseBeforeData,
    /// Drops the connection instead of acknowledging the message: the client cannot know whether it was delivered.
    CloseAfterData {
        /// Whether it was.
        store: bool,
    },
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) mailbox: Mailbox,
    last_sequence: AtomicU64,
    pub(crate) behaviour: watch::Sender<Behaviour>,
}

impl Inbox {
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let mailbox = Mailbox::open(directory);
        let last_sequence = AtomicU64::new(mailbox.last_sequence()?);
        Ok(Self { mailbox, last_sequence, behaviour: watch::Sender::default() })
    }

    /// What to do to the client now.
    pub(crate) fn behaviour(&self) -> Behaviour {
        *self.behaviour.borrow()
    }

    /// Adds a message to the mailbox.
    pub(crate) fn store(&self, message: &[u8]) -> io::Result<()> {
        self.mailbox.store(self.last_sequence.fetch_add(1, Ordering::Relaxed) + 1, message)
    }
}
