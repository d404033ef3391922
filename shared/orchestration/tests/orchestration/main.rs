//! Recovery and waiting on a real PostgreSQL, with a flow whose steps the tests decide.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod recovery;
mod waiting;
mod world;
