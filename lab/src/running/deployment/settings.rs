//! What a deployment runs on, and with which settings.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use sandbox::{Kafka, Mailbox};
use url::Url;

/// What a deployment runs on, so that any sandbox will do.
#[derive(Clone, Debug)]
pub struct Ground {
    /// PostgreSQL, as somebody who may create databases and roles.
    pub postgres: Url,
    /// The Kafka broker.
    pub kafka: Arc<Kafka>,
    /// The SMTP server.
    pub smtp: Url,
    /// The SMTP server's mailbox, if it can be read.
    pub mailbox: Option<Mailbox>,
    /// Where logs may be written; goes when the sandbox goes.
    pub directory: PathBuf,
}

impl Ground {
    /// The ground that `sandbox` is.
    pub fn of(sandbox: &sandbox::Sandbox) -> Self {
        Self {
            postgres: sandbox.postgres.admin_url().clone(),
            kafka: Arc::clone(&sandbox.kafka),
            smtp: sandbox.smtp.url().clone(),
            mailbox: sandbox.smtp.mailbox().cloned(),
            directory: sandbox.directory().to_owned(),
        }
    }
}

/// How to bring a style up.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where the gateway listens; a free port if not said.
    pub listen: Option<SocketAddr>,
    /// Further settings of the services, as environment variables.
    pub settings: Vec<(&'static str, String)>,
    /// Partitions of each topic; as many as the services' default if not said.
    pub partitions: Option<i32>,
    /// Who receives the services' spans (OTLP over HTTP); nobody if not said.
    pub traces: Option<Url>,
}

/// Settings of every service on the sandbox that differ from the defaults, and are labelled where figures are shown.
pub const SANDBOX_SETTINGS: [(&str, &str); 6] = [
    // Light hashing: the study is about communication, and 19 MiB per registration would be all it measures.
    ("ARGON2_MEMORY_KIB", "256"),
    ("ARGON2_PASSES", "1"),
    // So that whoever looks at a running style by hand needs no `.proto` files.
    ("REFLECTION", "true"),
    // A crash while an email is under way delays it by the lease; a minute is long for a demonstration.
    ("SMTP_COMMAND_TIMEOUT_MS", "500"),
    ("MAIL_LEASE_MS", "10000"),
    ("LOG_FILTER", "info"),
];

/// Further settings where faults are made on purpose: what takes seconds in production takes fractions there.
pub const FAULT_SETTINGS: [(&str, &str); 7] = [
    ("KAFKA_SESSION_TIMEOUT_MS", "1500"),
    ("KAFKA_COMMIT_INTERVAL_MS", "100"),
    ("RECOVERY_AFTER_MS", "1000"),
    ("RECOVERY_POLL_MS", "100"),
    ("SMTP_CONNECT_TIMEOUT_MS", "200"),
    ("SMTP_COMMAND_TIMEOUT_MS", "200"),
    ("MAIL_LEASE_MS", "1000"),
];
