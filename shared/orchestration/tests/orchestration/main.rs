//! Recovery, waiting and the steps taken alone, on a real PostgreSQL, with a flow whose steps the tests decide.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod recovery;
mod steps;
mod waiting;
mod world;
