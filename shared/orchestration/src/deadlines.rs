//! Deadlines: what is not decided in time is given up. What that means is the style's.

use std::time::Duration;

use clap::Args;
use store::chain;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Settings of sagas.
#[derive(Clone, Copy, Debug, Args)]
pub struct SagaSettings {
    /// How long a booking may take until it is paid or refused, in milliseconds. After that it is undone: its seat is free again, and
    /// its money is refunded.
    #[arg(long, env = "SAGA_DEADLINE_MS", default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(100..=86_400_000))]
    saga_deadline_ms: u64,

    /// How often the service looks for bookings whose deadline has passed, in milliseconds.
    #[arg(long, env = "SAGA_POLL_MS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    saga_poll_ms: u64,
}

impl SagaSettings {
    /// How long a saga may take.
    pub fn deadline(self) -> Duration {
        Duration::from_millis(self.saga_deadline_ms)
    }

    /// Has `give_up`, which says how many they were, look for those whose deadline has passed, again and again until `stop`.
    ///
    /// # Errors
    /// None: what fails is tried again, and logged.
    pub async fn watch_deadlines<E: std::error::Error + 'static, F: Future<Output = Result<usize, E>>>(
        self,
        stop: CancellationToken,
        give_up: impl Fn() -> F,
    ) -> anyhow::Result<()> {
        let mut looks = interval(Duration::from_millis(self.saga_poll_ms));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                () = stop.cancelled() => return Ok(()),
            }
            match give_up().await {
                Ok(0) => {}
                Ok(count) => {
                    metrics::counter!("sagas_timed_out_total").increment(count as u64);
                    tracing::info!(count, "given up: the deadline has passed");
                }
                Err(error) => tracing::warn!(error = chain(&error), "deadlines cannot be looked at"),
            }
        }
    }
}
