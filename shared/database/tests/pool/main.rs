//! The pool on a real PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod questions;
mod settings;
mod standby;
mod wire;
mod work;
