//! How messages travel reliably over Kafka: envelope, outbox and relay, consumer with inbox, dead letters. Knows nothing of
//! what they say.
//!
//! ```text
//! handler's transaction -> outbox -> relay -> Kafka -> consumer: inbox and the next handler's transaction
//! ```
//!
//! Everything is delivered at least once, in order per key, and has its effect once.

mod arrived;
pub mod asyncapi;
mod backlog;
mod batch;
mod client;
mod commands;
mod consumer;
mod dead_letter;
mod envelope;
mod event;
mod handler;
mod inbox;
mod known_topics;
mod message;
mod mistake;
mod outbox;
mod outcomes;
mod producer;
mod reading;
mod relay;
mod renewed;
mod replay;
mod requests;
mod return_address;
mod settings;
mod skipped;
mod topics;
mod trace;
mod window;

pub use arrived::EnvelopeError;
pub use commands::{CreateSettings, TopicCommand};
pub use consumer::Consumer;
pub use envelope::Metadata;
pub use event::{Cause, Event};
pub use handler::{Handler, HandlerError, Known};
#[doc(hidden)]
pub use message::decode;
pub use message::{Decoded, Incoming, Message, Outgoing};
pub use outbox::{Outbox, Said};
pub use outcomes::{Outcomes, Waiting};
pub use producer::{NotAcknowledged, Producer};
pub use reading::Replay;
pub use replay::{ReplaySettings, Replayed, replay_dead_letters};
pub use requests::{Answers, AskError, Requests};
pub use return_address::ReturnAddress;
pub use settings::KafkaSettings;
pub use topics::{Topic, Topology, create_topics, delete_topics};

/// The tables of outbox and inbox, for the schema of the service that uses them.
pub fn migrations() -> sqlx::migrate::Migrator {
    let mut migrator = sqlx::migrate!();
    // Beside the service's own migrations.
    migrator.dangerous_set_table_name("_messaging_migrations");
    migrator
}
