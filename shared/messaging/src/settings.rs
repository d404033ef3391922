//! Where the brokers are, and the client settings on which the guarantees of this crate rest.
//!
//! What keeps messages from being lost, doubled or reordered is fixed here; what a place of installation needs (addresses,
//! TLS, SASL) is passed on to librdkafka under its own names.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

/// Settings of every Kafka client of a service.
#[derive(Clone, Debug, Args)]
pub struct KafkaSettings {
    /// The bootstrap servers of Kafka, as `host:port[,host:port...]`.
    #[arg(long, env = "KAFKA_BROKERS")]
    pub kafka_brokers: String,

    /// A prefix for the names of topics and groups. With it, several installations can share a cluster.
    #[arg(long, env = "KAFKA_PREFIX", default_value = "")]
    pub kafka_prefix: String,

    /// How many partitions a created topic gets. Choose more than you need now: when partitions are added later, the messages of
    /// most users move to another partition, once.
    #[arg(long, env = "KAFKA_PARTITIONS", default_value_t = 6, value_parser = clap::value_parser!(i32).range(1..=1000))]
    pub kafka_partitions: i32,

    /// How many copies each partition of a created topic gets.
    #[arg(long, env = "KAFKA_REPLICATION", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=10))]
    pub kafka_replication: i32,

    /// How long a member of a consumer group may be silent before its partitions go to others, in milliseconds.
    #[arg(long, env = "KAFKA_SESSION_TIMEOUT_MS", default_value_t = 6000)]
    pub kafka_session_timeout_ms: u32,

    /// How often the offsets of handled messages are committed, in milliseconds.
    #[arg(long, env = "KAFKA_COMMIT_INTERVAL_MS", default_value_t = 1000)]
    pub kafka_commit_interval_ms: u32,

    /// How long a broker may hold a fetch for which it has no message, in milliseconds. Apache Kafka answers as soon as a message
    /// arrives. The in-memory broker of librdkafka answers only when this time is over.
    #[arg(long, env = "KAFKA_FETCH_WAIT_MS", default_value_t = 500)]
    pub kafka_fetch_wait_ms: u32,

    /// How often every client asks which partitions there are, in milliseconds. Partitions that were added are written to and read
    /// after that time at the latest.
    #[arg(long, env = "KAFKA_METADATA_REFRESH_MS", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(100..=300_000))]
    pub kafka_metadata_refresh_ms: u32,

    /// How long a broker may take to acknowledge a message, in milliseconds. After that time the service sends the message again. No
    /// message is lost.
    #[arg(long, env = "KAFKA_DELIVERY_TIMEOUT_MS", default_value_t = 120_000, value_parser = clap::value_parser!(u32).range(1000..=900_000))]
    pub kafka_delivery_timeout_ms: u32,

    /// How often the lag of consumers and the number of requests to the brokers are measured, in milliseconds.
    #[arg(long, env = "KAFKA_STATISTICS_MS", default_value_t = 5000)]
    pub kafka_statistics_ms: u32,

    /// How brokers are spoken to: `plaintext`, `ssl`, `sasl_plaintext` or `sasl_ssl`. `ssl` and `sasl_ssl` need a build with the
    /// feature `tls`. The default is `plaintext`.
    #[arg(long, env = "KAFKA_SECURITY_PROTOCOL")]
    pub kafka_security_protocol: Option<String>,

    /// How the service logs in at the brokers: `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    #[arg(long, env = "KAFKA_SASL_MECHANISM")]
    pub kafka_sasl_mechanism: Option<String>,

    /// The user name with which the service logs in at the brokers.
    #[arg(long, env = "KAFKA_SASL_USERNAME")]
    pub kafka_sasl_username: Option<String>,

    /// The password with which the service logs in at the brokers.
    #[arg(long, env = "KAFKA_SASL_PASSWORD", hide_env_values = true)]
    pub kafka_sasl_password: Option<String>,

    /// A PEM file with the certificate authorities that are trusted for brokers. Without it, the system's are trusted.
    #[arg(long, env = "KAFKA_SSL_CA_LOCATION")]
    pub kafka_ssl_ca_location: Option<PathBuf>,

    /// A PEM file with the client's certificate. It is needed only if brokers ask for one.
    #[arg(long, env = "KAFKA_SSL_CERTIFICATE_LOCATION")]
    pub kafka_ssl_certificate_location: Option<PathBuf>,

    /// A PEM file with the private key of that certificate.
    #[arg(long, env = "KAFKA_SSL_KEY_LOCATION")]
    pub kafka_ssl_key_location: Option<PathBuf>,

    /// The password of that private key.
    #[arg(long, env = "KAFKA_SSL_KEY_PASSWORD", hide_env_values = true)]
    pub kafka_ssl_key_password: Option<String>,
}

impl KafkaSettings {
    /// The defaults, for brokers without TLS or SASL.
    ///
    /// # Panics
    /// Never: every other setting has a default.
    pub fn at(brokers: &str, prefix: &str) -> Self {
        /// Nothing but these settings.
        #[derive(clap::Parser)]
        struct Alone {
            #[command(flatten)]
            settings: KafkaSettings,
        }
        let arguments = ["", "--kafka-brokers", brokers, "--kafka-prefix", prefix];
        <Alone as clap::Parser>::parse_from(arguments).settings
    }

    /// The full name of `topic`.
    pub fn topic(&self, topic: &str) -> String {
        format!("{}{topic}", self.kafka_prefix)
    }

    /// The full name of a consumer group.
    pub fn group(&self, consumer: &str) -> String {
        format!("{}{consumer}", self.kafka_prefix)
    }

    /// The full name of the topic to which `consumer` puts aside what it cannot handle.
    pub fn dead_letter_topic(&self, topic: &str, consumer: &str) -> String {
        format!("{}{topic}.{consumer}.dlt", self.kafka_prefix)
    }

    /// What all clients have in common.
    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.kafka_brokers)
            .set("client.id", "arch-homework")
            // A broker that comes back is found within a second, not ten.
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "1000")
            .set("socket.nagle.disable", "true")
            .set("topic.metadata.refresh.interval.ms", self.kafka_metadata_refresh_ms.to_string())
            .set("statistics.interval.ms", self.kafka_statistics_ms.to_string())
            .set_log_level(RDKafkaLogLevel::Warning);
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        for (name, value) in [
            ("security.protocol", self.kafka_security_protocol.clone()),
            ("sasl.mechanism", self.kafka_sasl_mechanism.clone()),
            ("sasl.username", self.kafka_sasl_username.clone()),
            ("sasl.password", self.kafka_sasl_password.clone()),
            ("ssl.ca.location", path(&self.kafka_ssl_ca_location)),
            ("ssl.certificate.location", path(&self.kafka_ssl_certificate_location)),
            ("ssl.key.location", path(&self.kafka_ssl_key_location)),
            ("ssl.key.password", self.kafka_ssl_key_password.clone()),
        ] {
            if let Some(value) = value {
                config.set(name, value);
            }
        }
        config
    }

    /// A producer that neither doubles nor reorders what it is given, and gives up after `delivery_max`, or as late as is set.
    pub(crate) fn producer(&self, delivery_max: Option<Duration>) -> ClientConfig {
        let delivery_max =
            delivery_max.unwrap_or(Duration::from_millis(self.kafka_delivery_timeout_ms.into()));
        let mut config = self.client();
        config
            .set("enable.idempotence", "true")
            .set("delivery.timeout.ms", delivery_max.as_millis().to_string())
            // Nothing is held back in the hope of company; while one batch travels, the next one gathers anyway.
            .set("linger.ms", "0")
            // Where Java's default puts a key: producers in several languages must agree.
            .set("partitioner", "murmur2_random")
            // Bounds memory when brokers are slow: 16 MiB.
            .set("queue.buffering.max.kbytes", "16384");
        config
    }

    /// A member of the group of `consumer`.
    pub(crate) fn consumer(&self, consumer: &str) -> ClientConfig {
        let mut config = self.reader(&self.group(consumer));
        config
            // Offsets are committed in the background, but only those of messages whose effect is committed.
            .set("enable.auto.commit", "true")
            .set("enable.auto.offset.store", "false")
            .set("auto.commit.interval.ms", self.kafka_commit_interval_ms.to_string())
            // The default skips what was said before the first member came.
            .set("auto.offset.reset", "earliest")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", self.kafka_session_timeout_ms.to_string())
            .set("heartbeat.interval.ms", (self.kafka_session_timeout_ms / 4).max(1).to_string())
            .set("max.poll.interval.ms", "60000");
        config
    }

    /// Reads partitions that it assigns itself, and belongs to no group.
    pub(crate) fn reader(&self, group: &str) -> ClientConfig {
        let mut config = self.client();
        config
            // librdkafka wants a name even for a reader that never joins or commits.
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("fetch.wait.max.ms", self.kafka_fetch_wait_ms.to_string())
            // A fetch that failed is tried again soon; the default of half a second would show in every recovery.
            .set("fetch.error.backoff.ms", "100")
            // Bounds what is fetched ahead: messages are small, a batch is a few hundred.
            .set("queued.min.messages", "2000")
            .set("queued.max.messages.kbytes", "4096");
        config
    }
}
