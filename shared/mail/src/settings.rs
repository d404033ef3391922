//! How often the worker looks, how much it takes, and how long it waits after a failure.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use clap::Args;

use crate::{ConfigError, Mailer, Timeouts};

/// The settings of a service that sends emails, as flags or environment variables.
#[derive(Clone, Debug, Args)]
pub struct MailSettings {
    /// The address of the SMTP server, `smtp[s]://[user:password@]host[:port]`. `smtps` needs a build with the feature `tls`.
    #[arg(long, env = "SMTP_URL", hide_env_values = true)]
    pub smtp_url: String,

    /// The sender of every email.
    #[arg(long, env = "MAIL_FROM", default_value = "Arch Homework <no-reply@arch.homework>")]
    pub mail_from: String,

    /// How long a connection to the SMTP server may take, in milliseconds.
    #[arg(long, env = "SMTP_CONNECT_TIMEOUT_MS", default_value_t = 1_000)]
    pub smtp_connect_timeout_ms: u64,

    /// How long one SMTP command may take, in milliseconds.
    #[arg(long, env = "SMTP_COMMAND_TIMEOUT_MS", default_value_t = 5_000)]
    pub smtp_command_timeout_ms: u64,

    /// How many emails are sent at the same time. Each has an SMTP session of its own.
    #[arg(long, env = "MAIL_SENDERS", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub mail_senders: u16,

    /// How long an email waits after the service that was sending it has crashed, in milliseconds. It is never less than the time that
    /// the slowest attempt can take.
    #[arg(long, env = "MAIL_LEASE_MS", default_value_t = 60_000)]
    pub mail_lease_ms: u64,
}

impl MailSettings {
    /// The connection to the SMTP server, not opened yet, and the worker's settings.
    ///
    /// # Errors
    /// When the URL or the sender does not parse.
    pub fn mailer(&self) -> Result<(Mailer, Settings), ConfigError> {
        let timeouts = Timeouts {
            connect: Duration::from_millis(self.smtp_connect_timeout_ms),
            command: Duration::from_millis(self.smtp_command_timeout_ms),
        };
        let settings = Settings {
            lease: Duration::from_millis(self.mail_lease_ms),
            senders: self.mail_senders.into(),
            ..Settings::default()
        };
        Ok((Mailer::new(&self.smtp_url, &self.mail_from)?.with_timeouts(timeouts), settings))
    }
}

/// The worker's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long to wait when nothing is due and nobody wakes the worker.
    pub poll_interval: Duration,
    /// How long a claim lasts, and so how long a crash delays the emails in hand.
    ///
    /// It need not cover a whole batch: the worker starts another email only while the lease has room for the
    /// slowest possible attempt ([`Mailer::send_max`](crate::Mailer::send_max)), and releases the rest. A lease
    /// shorter than one such attempt is raised to it.
    pub lease: Duration,
    /// Emails that are sent at the same time.
    pub senders: usize,
    /// The most emails that a sender claims in one commit.
    pub batch: usize,
    /// The wait after the first transient failure; doubled with each further one.
    pub backoff_base: Duration,
    /// The longest wait between two attempts.
    pub backoff_max: Duration,
    /// Attempts after which an email that still meets transient failures is given up.
    pub attempts_max: i32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            poll_interval: Duration::from_millis(500),
            lease: Duration::from_mins(1),
            senders: 1,
            batch: 32,
            backoff_base: Duration::from_millis(500),
            backoff_max: Duration::from_mins(1),
            // A day and more of an SMTP server that is away, at one attempt a minute.
            attempts_max: 1_500,
        }
    }
}

impl Settings {
    /// The wait after the given number of failures in a row: exponential, with the upper half of it random, so that
    /// what failed together does not come back together.
    pub(crate) fn backoff(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let whole = self.backoff_base.saturating_mul(1 << doublings).min(self.backoff_max);
        // Every `RandomState` has a key of its own, which is randomness enough to spread emails apart.
        let [random, ..] = RandomState::new().hash_one(failures).to_ne_bytes();
        whole / 2 + whole / (2 * u32::from(u8::MAX)) * u32::from(random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_its_maximum_within_the_jitter() {
        let settings = Settings::default();
        for (failures, whole_ms) in
            [(1, 500), (2, 1_000), (3, 2_000), (7, 32_000), (8, 60_000), (u32::MAX, 60_000)]
        {
            let whole = Duration::from_millis(whole_ms);
            for _ in 0..100 {
                let wait = settings.backoff(failures);
                assert!(whole / 2 <= wait && wait <= whole, "{wait:?} after {failures} failures");
            }
        }
    }

    #[test]
    fn backoff_spreads_equal_failures_apart() {
        let settings = Settings::default();
        let waits: std::collections::HashSet<_> = (0..100).map(|_| settings.backoff(5)).collect();
        assert!(waits.len() > 10, "{waits:?}");
    }
}
