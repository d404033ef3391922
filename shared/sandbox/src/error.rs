//! The one error type of the sandbox: its reader is a person at a terminal who wants to know what to do.

use std::{error::Error, io, path::PathBuf};

use rdkafka::error::KafkaError;

/// Why the sandbox could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// No server binaries anywhere, no server given, and none could be fetched.
    #[error(
        "no PostgreSQL server found: install its server binaries (the Debian package is `postgresql`), \
         or set PG_BINDIR to the directory of `initdb` and `postgres`, or DATABASE_URL to a running server"
    )]
    PostgresNotFound {
        /// Why none was fetched.
        source: Box<dyn Error + Send + Sync>,
    },

    /// An environment variable is set to something unusable.
    #[error("{name} is {problem}")]
    BadSetting {
        /// The variable.
        name: &'static str,
        /// What is wrong with its value.
        problem: String,
    },

    /// PostgreSQL does not run as root, and there is no other user to run it as.
    #[error("started by root, but there is neither a user `postgres` nor `nobody` to run PostgreSQL as")]
    NoUnprivilegedUser,

    /// `initdb` did not create the cluster.
    #[error("initdb failed: {output}")]
    Initdb {
        /// The end of what it said.
        output: String,
    },

    /// The server ended before it accepted a connection.
    #[error("PostgreSQL ended while it was starting; its log ends with: {log}")]
    PostgresExited {
        /// The end of its log.
        log: String,
    },

    /// The server runs but cannot be used.
    #[error("{server} does not accept connections")]
    Unreachable {
        /// Which server.
        server: &'static str,
        /// What the last attempt ended in.
        source: sqlx::Error,
    },

    /// The server was told to stop and did not.
    #[error("PostgreSQL is still running {seconds} s after the order to stop")]
    StillRunning {
        /// How long it was given.
        seconds: u64,
    },

    /// A standby does not reach the server that it follows.
    #[error("the standby PostgreSQL does not follow after {seconds} s")]
    StandbyLags {
        /// How long it was given.
        seconds: u64,
    },

    /// A standby does not take writes.
    #[error("the standby PostgreSQL was not promoted")]
    NotPromoted,

    /// There is no other server to switch over to.
    #[error("the PostgreSQL server has no standby")]
    NoStandby,

    /// Faults are injected into a private server only.
    #[error("the server at {name} is not the sandbox's to stop or restart")]
    NotPrivate {
        /// The variable that names the server.
        name: &'static str,
    },

    /// A Kafka client, or the in-memory broker, reported an error.
    #[error("cannot {action}")]
    Kafka {
        /// What was attempted, to complete "cannot ...".
        action: String,
        /// What was reported.
        source: KafkaError,
    },

    /// A topic is there already, and is another than the one asked for.
    #[error("topic {topic} has {there} partitions already, not {asked}")]
    TopicDiffers {
        /// Its name.
        topic: String,
        /// How many partitions it has.
        there: usize,
        /// How many were asked for.
        asked: i32,
    },

    /// `SANDBOX=containers`, but this build cannot.
    #[error(
        "SANDBOX=containers, but this program was built without containers: \
         cargo run --release --features containers"
    )]
    BuiltWithoutContainers,

    /// `SANDBOX=containers`, but there is nothing to run them.
    #[error(
        "SANDBOX=containers, but no container engine answers: start Docker, or set DOCKER_HOST to its socket"
    )]
    NoContainerEngine {
        /// What the attempt ended in.
        source: Box<dyn Error + Send + Sync>,
    },

    /// The container engine refused something.
    #[error("cannot {action}")]
    Container {
        /// What was attempted, to complete "cannot ...".
        action: String,
        /// The refusal.
        source: Box<dyn Error + Send + Sync>,
    },

    /// The program that starts a broker did something else. It says why on its standard error.
    #[error("KAFKA_COMMAND ({program}): expected the line `{expected}`, but {instead}")]
    BrokerCommand {
        /// The program.
        program: String,
        /// What it was to say.
        expected: &'static str,
        /// What happened instead.
        instead: String,
    },

    /// Every port of the sandbox's range is taken.
    #[error("no free TCP port from {first} to {last}")]
    NoFreePort {
        /// First port tried.
        first: u16,
        /// Last port tried.
        last: u16,
    },

    /// A file of the mailbox is no mail.
    #[error("{} is not a mail message", path.display())]
    NotMail {
        /// The file.
        path: PathBuf,
    },

    /// The operating system refused something.
    #[error("cannot {action}")]
    Io {
        /// What was attempted, to complete "cannot ...".
        action: String,
        /// The refusal.
        source: io::Error,
    },
}

impl SandboxError {
    /// For `map_err`: says what was attempted when an I/O error came.
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action: action.into(), source }
    }

    /// For `map_err`: says what was attempted when Kafka reported an error.
    pub(crate) fn kafka(action: impl Into<String>) -> impl FnOnce(KafkaError) -> Self {
        move |source| Self::Kafka { action: action.into(), source }
    }
}
