//! What librdkafka tells of itself: its logs, its requests, the lag of a consumer, and how offsets were committed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::statistics::{Partition, Statistics};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaErrorCode;

/// The context of every client.
#[derive(Debug, Default)]
pub(crate) struct Context {
    /// The name under which a consumer's lag is told; `None` for producers and readers without a group.
    consumer: Option<&'static str>,
    /// Whether the brokers were away when librdkafka last said something about it, so that it is logged once.
    brokers_away: AtomicBool,
    /// Requests sent to brokers when librdkafka last told.
    requests: AtomicU64,
}

impl Context {
    /// The context of a member of the group of `consumer`.
    pub(crate) fn of(consumer: &'static str) -> Self {
        Self { consumer: Some(consumer), ..Self::default() }
    }
}

/// How many messages of a partition are not handled yet; 0 for one that is not ours, of which nothing is known (-1).
fn lag(partition: &Partition) -> i64 {
    // Nothing is stored before the first batch is done; until then what is committed counts.
    let lags = [partition.consumer_lag_stored, partition.consumer_lag];
    lags.into_iter().find(|lag| *lag >= 0).unwrap_or(0)
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            // A connection that breaks is tried again by itself; while brokers are away that is said many times a second.
            _ if matches!(facility, "FAIL" | "REQTMOUT") => tracing::debug!(facility, message, "librdkafka"),
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error => {
                tracing::error!(facility, message, "librdkafka");
            }
            RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice => {
                tracing::warn!(facility, message, "librdkafka");
            }
            RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                tracing::debug!(facility, message, "librdkafka");
            }
        }
    }

    fn stats(&self, statistics: Statistics) {
        let client = self.consumer.unwrap_or("none");
        let requests = u64::try_from(statistics.tx).unwrap_or(0);
        let before = self.requests.swap(requests, Ordering::Relaxed);
        metrics::counter!("messaging_broker_requests_total", "consumer" => client)
            .increment(requests.saturating_sub(before));
        let Some(consumer) = self.consumer else { return };
        for (topic, state) in &statistics.topics {
            let lag: i64 = state.partitions.values().map(lag).sum();
            #[allow(clippy::cast_precision_loss, reason = "nobody counts past 2^52 messages")]
            metrics::gauge!("messaging_consumer_lag", "consumer" => consumer, "topic" => topic.clone())
                .set(lag as f64);
        }
        if self.brokers_away.load(Ordering::Relaxed)
            && statistics.brokers.values().any(|broker| broker.state == "UP")
        {
            self.brokers_away.store(false, Ordering::Relaxed);
            tracing::info!("the brokers are back");
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            if !self.brokers_away.swap(true, Ordering::Relaxed) {
                tracing::warn!(reason, "the brokers cannot be reached");
            }
        } else {
            tracing::debug!(%error, reason, "librdkafka");
        }
    }
}

impl ConsumerContext for Context {
    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let partitions = |list: &TopicPartitionList| -> Vec<String> {
            list.elements().iter().map(|it| format!("{}/{}", it.topic(), it.partition())).collect()
        };
        match rebalance {
            Rebalance::Assign(list) => {
                tracing::info!(consumer = self.consumer, partitions = ?partitions(list), "assigned");
                // librdkafka remembers a pause while the partition is with others. One that went while its messages could
                // not be handled, and comes back when nothing is left to try again, would stay silent for ever.
                if let Err(error) = consumer.resume(list) {
                    tracing::warn!(consumer = self.consumer, %error, "partitions stay paused");
                }
            }
            Rebalance::Revoke(list) => {
                tracing::info!(consumer = self.consumer, partitions = ?partitions(list), "revoked");
            }
            Rebalance::Error(error) => tracing::warn!(consumer = self.consumer, %error, "rebalance"),
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        match result {
            Ok(()) => {
                fail::fail_point!("messaging::offset_committed");
            }
            // It is committed with the next one; meanwhile, who takes the partition over meets messages again.
            Err(error) => tracing::warn!(consumer = self.consumer, %error, "offsets are not committed yet"),
        }
    }
}

/// Ends a client off the runtime's threads: librdkafka joins threads of its own there.
pub(crate) fn drop_blocking<T: Send + 'static>(client: T) {
    tokio::task::spawn_blocking(move || drop(client));
}
