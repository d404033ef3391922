//! When an order counts as left behind.

use std::time::Duration;

use clap::Args;

/// Settings of recovery.
#[derive(Clone, Copy, Debug, Args)]
pub struct RecoverySettings {
    /// How long an order may stay unfinished before recovery finishes it, in milliseconds.
    #[arg(long, env = "RECOVERY_AFTER_MS", default_value_t = 5_000)]
    recovery_after_ms: u64,

    /// How often recovery looks for such orders, in milliseconds.
    #[arg(long, env = "RECOVERY_POLL_MS", default_value_t = 1_000)]
    recovery_poll_ms: u64,
}

impl RecoverySettings {
    /// How long after its beginning an order counts as left behind.
    pub(crate) fn due_after(&self) -> Duration {
        Duration::from_millis(self.recovery_after_ms)
    }

    /// How long one attempt to finish an order may take: less than [`Self::due_after`], so that recovery does not take up
    /// what is still being worked on. If it did, the two would find each other's effects.
    pub fn attempt_max(&self) -> Duration {
        self.due_after() * 4 / 5
    }

    /// The wait between two rounds of recovery.
    pub(crate) fn poll_interval(&self) -> Duration {
        Duration::from_millis(self.recovery_poll_ms)
    }
}
