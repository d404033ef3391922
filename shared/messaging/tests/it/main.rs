//! Messaging on a real PostgreSQL and on the sandbox's Kafka: what outbox, relay, consumer, inbox, dead letters, outcomes and
//! replay promise, also when something is away. The same tests pass on the in-memory broker and, with `KAFKA_COMMAND`, on
//! Apache Kafka.

// In helpers too, where clippy does not see that they are tests.
#![allow(clippy::unwrap_used)]

mod commands;
mod consumer;
mod consumer_faults;
mod dead_letters;
mod foreign;
mod growth;
mod notebook;
mod outbox;
mod outbox_faults;
mod outcomes;
mod rebalances;
mod refusals;
mod replay;
mod retention;
mod topics;
mod wire;
mod world;
