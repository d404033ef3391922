//! The store on a real PostgreSQL: what its statements, constraints and roles promise.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod accounts;
mod backlog;
mod batches;
mod connections;
mod emails;
mod orders;
mod pages;
mod queue;
mod refunds;
mod requests;
mod roles;
mod sagas;
mod tickets;
mod users;
mod world;
