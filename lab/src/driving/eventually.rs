//! Waiting for what is to come, by looking again and again, up to a deadline.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How often it is looked for.
const POLL: Duration = Duration::from_millis(20);

/// Tries `attempt` until it succeeds.
///
/// # Errors
/// The last error, when `longest` is over.
pub async fn eventually<T>(
    longest: Duration,
    attempt: impl AsyncFn() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let deadline = Instant::now() + longest;
    loop {
        match attempt().await {
            Ok(outcome) => return Ok(outcome),
            Err(error) if Instant::now() > deadline => {
                return Err(error.context(format!("still so after {longest:?}")));
            }
            Err(_) => sleep(POLL).await,
        }
    }
}
