//! Which servers `SANDBOX=containers` runs: images and what they are told.

use crate::{SandboxError, free_port, postgres_server::SETTINGS, setting};

/// Whether containers were asked for.
pub(crate) fn wanted() -> Result<bool, SandboxError> {
    match setting::read("SANDBOX")?.as_deref() {
        None | Some("") => Ok(false),
        Some("containers") => Ok(true),
        Some(other) => Err(SandboxError::BadSetting {
            name: "SANDBOX",
            problem: format!("`{other}`; it may be `containers`"),
        }),
    }
}

/// A container to start.
#[derive(Debug)]
#[cfg_attr(not(feature = "containers"), expect(dead_code, reason = "only container.rs reads it"))]
pub(crate) struct Spec {
    /// The variable that overrides the image.
    image_setting: &'static str,
    default_image: &'static str,
    /// Fixed by us, so that it stays the same over a restart and can be told to the server.
    pub(crate) host_port: u16,
    /// Where the server listens inside.
    pub(crate) container_port: u16,
    pub(crate) environment: Vec<(&'static str, String)>,
    pub(crate) arguments: Vec<String>,
}

impl Spec {
    /// PostgreSQL with the settings of a private cluster.
    pub(crate) fn postgres(password: &str) -> Result<Self, SandboxError> {
        let preload = "shared_preload_libraries=pg_stat_statements";
        let settings = SETTINGS.into_iter().chain([preload]);
        Ok(Self {
            image_setting: "SANDBOX_POSTGRES_IMAGE",
            default_image: "postgres:17",
            host_port: free_port()?,
            container_port: 5432,
            environment: vec![
                ("POSTGRES_PASSWORD", password.to_owned()),
                ("POSTGRES_INITDB_ARGS", "--auth-host=scram-sha-256 --encoding=UTF8 --locale=C".to_owned()),
            ],
            arguments: settings.flat_map(|setting| ["-c".to_owned(), setting.to_owned()]).collect(),
        })
    }

    /// Apache Kafka, one node that is broker and controller. It tells its clients where to find it, and is one of them
    /// itself: so it listens inside on the very port that is published.
    pub(crate) fn kafka() -> Result<Self, SandboxError> {
        let port = free_port()?;
        let own = [
            ("KAFKA_LISTENERS", format!("CLIENTS://0.0.0.0:{port},CONTROLLER://127.0.0.1:9093")),
            ("KAFKA_ADVERTISED_LISTENERS", format!("CLIENTS://127.0.0.1:{port}")),
        ];
        let fixed = [
            ("KAFKA_NODE_ID", "1"),
            ("KAFKA_PROCESS_ROLES", "broker,controller"),
            ("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@127.0.0.1:9093"),
            ("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
            ("KAFKA_INTER_BROKER_LISTENER_NAME", "CLIENTS"),
            ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT"),
            ("KAFKA_LOG_DIRS", "/var/lib/kafka/data"),
            ("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false"),
            ("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1"),
            ("KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS", "5"),
            ("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1"),
            ("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1"),
            ("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0"),
            ("KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS", "500"),
            // After a crash the controller lets the broker in again only when its old session is over.
            ("KAFKA_BROKER_SESSION_TIMEOUT_MS", "3000"),
            ("KAFKA_BROKER_HEARTBEAT_INTERVAL_MS", "500"),
            ("KAFKA_HEAP_OPTS", "-Xmx512m"),
        ];
        let environment =
            own.into_iter().chain(fixed.map(|(name, value)| (name, value.to_owned()))).collect();
        Ok(Self {
            image_setting: "SANDBOX_KAFKA_IMAGE",
            default_image: "apache/kafka:4.1.0",
            host_port: port,
            container_port: port,
            environment,
            arguments: Vec::new(),
        })
    }

    /// A server that takes all mail, to be looked at in its own web page.
    pub(crate) fn mail() -> Result<Self, SandboxError> {
        Ok(Self {
            image_setting: "SANDBOX_MAIL_IMAGE",
            default_image: "axllent/mailpit:v1.20",
            host_port: free_port()?,
            container_port: 1025,
            environment: Vec::new(),
            arguments: Vec::new(),
        })
    }

    /// The image to use, as `name:tag`.
    #[cfg(feature = "containers")]
    pub(crate) fn image(&self) -> Result<String, SandboxError> {
        Ok(setting::read(self.image_setting)?.unwrap_or_else(|| self.default_image.to_owned()))
    }
}
