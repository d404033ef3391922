//! librdkafka's in-memory broker: it speaks the protocol of producers, consumers and consumer groups over TCP, keeps
//! everything in this process, and is there at once.
//!
//! Not Apache Kafka. It has no admin protocol and no disk. It keeps the last 5 MiB, or 100 000 batches, of each partition,
//! and nothing can raise that. It creates a topic that a producer mentions, with 4 partitions. It stores twice what an
//! idempotent producer sends twice because an acknowledgement was lost. When members join or leave a live group it waits
//! almost `session.timeout.ms` for the others, even if all have answered; over 1000 ms it is that less 1 s.

use std::{fmt, time::Duration};

use rdkafka::{
    ClientConfig, ClientContext,
    bindings::{rd_kafka_handle_mock_cluster, rd_kafka_mock_group_initial_rebalance_delay_ms},
    config::RDKafkaLogLevel,
    error::{KafkaError, KafkaResult},
    message::DeliveryResult,
    mocking::MockCluster,
    producer::{BaseProducer, Producer, ProducerContext},
    types::{RDKafkaApiKey, RDKafkaErrorCode, RDKafkaRespErr},
};
use tracing::debug;

use crate::SandboxError;

/// The broker waits this long for more members when the first one joins a new group, so that those that start
/// together share their partitions at once. Its default is 3 s.
const FIRST_JOIN_WAIT_MS: i32 = 100;

/// The id of the only one.
const THE_BROKER: i32 = 1;

const METADATA_MAX: Duration = Duration::from_secs(5);

/// One broker. It ends when it is dropped.
pub struct InMemoryBroker {
    /// A client that hosts the broker and is used for nothing else.
    host: BaseProducer<Quiet>,
}

impl InMemoryBroker {
    /// Starts it on a port of 127.0.0.1 that the system chooses; it keeps the port while it is down.
    pub(crate) fn start() -> Result<Self, SandboxError> {
        let created = ClientConfig::new().set("test.mock.num.brokers", "1").create_with_context(Quiet);
        let host: BaseProducer<_> =
            created.map_err(SandboxError::kafka("start librdkafka's in-memory broker"))?;
        shorten_first_join(&host);
        Ok(Self { host })
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> String {
        self.cluster().bootstrap_servers()
    }

    /// Creates a topic unless it is there already with that many partitions.
    pub(crate) fn create_topic(&self, topic: &str, partitions: i32) -> Result<(), SandboxError> {
        match self.cluster().create_topic(topic, partitions, 1) {
            Err(KafkaError::MockCluster(RDKafkaErrorCode::TopicAlreadyExists)) => {}
            created => return created.map_err(SandboxError::kafka(format!("create topic {topic}"))),
        }
        // A client that mentioned it first would have made it, with the broker's own number of partitions.
        let there =
            self.count_partitions(topic).map_err(SandboxError::kafka(format!("look at topic {topic}")))?;
        if i32::try_from(there) == Ok(partitions) {
            return Ok(());
        }
        Err(SandboxError::TopicDiffers { topic: topic.to_owned(), there, asked: partitions })
    }

    /// Fault injection: answers the next requests of a kind with these errors, one each; as usual where that is
    /// `RD_KAFKA_RESP_ERR_NO_ERROR`. Librdkafka produces the messages of each partition in requests of their own.
    pub fn answer(&self, requests: RDKafkaApiKey, answers: &[RDKafkaRespErr]) {
        self.cluster().request_errors(requests, answers);
    }

    /// Fault injection: has every answer take this long. What it answers has been done by then.
    pub fn delay_answers(&self, by: Duration) -> Result<(), SandboxError> {
        let set = self.cluster().broker_round_trip_time(-1, by);
        set.map_err(SandboxError::kafka("slow the in-memory broker down"))
    }

    /// Fault injection: leaves a partition without a leader, or gives it one again.
    pub fn set_leader(&self, topic: &str, partition: i32, is_led: bool) -> Result<(), SandboxError> {
        let set = self.cluster().partition_leader(topic, partition, is_led.then_some(THE_BROKER));
        set.map_err(SandboxError::kafka(format!("set the leader of {topic}/{partition}")))
    }

    /// Closes all connections and accepts no new ones. What is stored stays.
    pub(crate) fn down(&self) -> Result<(), SandboxError> {
        self.cluster().broker_down(-1).map_err(SandboxError::kafka("take the in-memory broker down"))
    }

    /// Accepts connections again.
    pub(crate) fn up(&self) -> Result<(), SandboxError> {
        self.cluster().broker_up(-1).map_err(SandboxError::kafka("bring the in-memory broker up again"))
    }

    fn count_partitions(&self, topic: &str) -> KafkaResult<usize> {
        let metadata = self.host.client().fetch_metadata(Some(topic), METADATA_MAX)?;
        Ok(metadata.topics().iter().map(|topic| topic.partitions().len()).sum())
    }

    fn cluster(&self) -> MockCluster<'_, Quiet> {
        self.host.client().mock_cluster().expect("the client was made to host one")
    }
}

impl fmt::Debug for InMemoryBroker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("InMemoryBroker").field("address", &self.address()).finish()
    }
}

/// The one setting that rdkafka has no function for.
#[allow(unsafe_code)]
fn shorten_first_join(host: &BaseProducer<Quiet>) {
    // SAFETY: the pointer is that of a live client, which is borrowed until the end of this function.
    let cluster = unsafe { rd_kafka_handle_mock_cluster(host.client().native_ptr()) };
    assert!(!cluster.is_null(), "the client was made to host a cluster");
    // SAFETY: the cluster is not null and lives as long as the borrowed client, which destroys it at its own end. The
    // function takes the cluster's lock, so it may run beside the cluster's thread.
    unsafe { rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, FIRST_JOIN_WAIT_MS) };
}

/// Keeps the host out of the log: as a client of its own broker it would complain whenever that is taken down.
struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        debug!(facility, message, "in-memory broker");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!(%error, reason, "in-memory broker");
    }
}

impl ProducerContext for Quiet {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}
