//! Looks after things while faults happen: the money, all the time, and processes that end by themselves.

use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::arena::Arena;

/// How often the money is checked.
const EVERY: Duration = Duration::from_millis(200);
/// How long nothing may be known of it: the database is away for a few seconds at a time.
const BLIND_MAX: Duration = Duration::from_secs(40);

/// Checks the money, and supervises, until something is wrong; says what.
///
/// # Errors
/// When nothing can be known for too long.
pub(super) async fn money(arena: &Arena) -> anyhow::Result<Vec<String>> {
    tokio::select! {
        found = check(arena) => found,
        Err(error) = arena.supervise() => Err(error),
    }
}

async fn check(arena: &Arena) -> anyhow::Result<Vec<String>> {
    let mut every = interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = Instant::now();
    loop {
        every.tick().await;
        match arena.always().await {
            Ok(found) if found.is_empty() => seen = Instant::now(),
            Ok(found) => return Ok(found.iter().map(ToString::to_string).collect()),
            Err(error) if seen.elapsed() > BLIND_MAX => return Err(error).context("nothing can be checked"),
            // The database is away, or has just gone.
            Err(_) => {}
        }
    }
}
