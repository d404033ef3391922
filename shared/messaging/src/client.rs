//! What librdkafka tells of itself: its logs, its requests, the lag of a consumer, what it has skipped, and how offsets were
//! committed.

use std::ffi::CString;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::Message as _;
use rdkafka::bindings::rd_kafka_get_watermark_offsets;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::BorrowedMessage;
use rdkafka::statistics::{Partition, Statistics};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};

use crate::skipped::Positions;

/// How long brokers may take to say what a group has committed. They have just said which partitions are ours.
const COMMITTED_MAX: Duration = Duration::from_secs(1);

/// The context of every client.
#[derive(Debug, Default)]
pub(crate) struct Context {
    /// The name under which a consumer's lag is told; `None` for producers and readers without a group.
    consumer: Option<&'static str>,
    /// Whether the brokers were away when librdkafka last said something about it, so that it is logged once.
    brokers_away: AtomicBool,
    /// Requests sent to brokers when librdkafka last told.
    requests: AtomicU64,
    /// What is expected next where.
    positions: Positions,
}

impl Context {
    /// The context of a member of the group of `consumer`.
    pub(crate) fn of(consumer: &'static str) -> Self {
        Self { consumer: Some(consumer), ..Self::default() }
    }

    /// As metrics have it.
    fn name(&self) -> &'static str {
        self.consumer.unwrap_or("none")
    }

    /// Partitions came: what the group has committed is expected next. Blocks, but librdkafka hands over no message before this is
    /// known; afterwards it would be too late to ask, since others are committed.
    fn begin(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        match consumer.committed_offsets(list.clone(), COMMITTED_MAX) {
            Ok(committed) => self.positions.begin(&committed),
            Err(error) => {
                tracing::debug!(consumer = self.consumer, %error, "asking what is committed");
            }
        }
    }

    /// Tells if the partitions of `topic` have lost what was not read.
    fn tell_skipped<'a>(&self, topic: &str, partitions: impl Iterator<Item = &'a Partition>) {
        for state in partitions {
            if let Some(skipped) = self.positions.told(topic, state) {
                skipped.tell(self.name(), topic, state.partition);
            }
        }
    }
}

/// Notes that `message` came, and tells if those before it were deleted. To be called with every message, before the next is asked for.
pub(crate) fn note(kafka: &StreamConsumer<Context>, message: &BorrowedMessage<'_>) {
    let (topic, partition) = (message.topic(), message.partition());
    let low = || low(kafka, topic, partition);
    let context = kafka.context();
    if let Some(skipped) = context.positions.arrived((topic, partition, message.offset()), low) {
        skipped.tell(context.name(), topic, partition);
    }
}

/// Where a partition begins, as the brokers said when they last gave us of its messages. Asks nobody; rdkafka has no function for it.
#[allow(unsafe_code)]
fn low(kafka: &StreamConsumer<Context>, topic: &str, partition: i32) -> Option<i64> {
    let topic = CString::new(topic).ok()?;
    let (mut low, mut high) = (-1, -1);
    // SAFETY: the client is borrowed, so it lives; the name ends with a zero; both numbers outlive the call, which keeps no pointer.
    let answer = unsafe {
        let client = kafka.client().native_ptr();
        rd_kafka_get_watermark_offsets(client, topic.as_ptr(), partition, &raw mut low, &raw mut high)
    };
    (answer == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR && low >= 0).then_some(low)
}

/// How many messages of a partition are still to be handled; 0 for one that is not ours, of which nothing is known (-1).
fn lag(partition: &Partition) -> i64 {
    // Nothing is stored before the first batch is done; until then what is committed counts.
    let lags = [partition.consumer_lag_stored, partition.consumer_lag];
    let lag = lags.into_iter().find(|lag| *lag >= 0).unwrap_or(0);
    // Nobody can handle what is deleted.
    if partition.lo_offset < 0 { lag } else { lag.min(partition.hi_offset - partition.lo_offset) }
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
        let requests = u64::try_from(statistics.tx).unwrap_or(0);
        let before = self.requests.swap(requests, Ordering::Relaxed);
        metrics::counter!("messaging_broker_requests_total", "consumer" => self.name())
            .increment(requests.saturating_sub(before));
        for (topic, state) in &statistics.topics {
            if let Some(consumer) = self.consumer {
                let lag: i64 = state.partitions.values().map(lag).sum();
                #[allow(clippy::cast_precision_loss, reason = "nobody counts past 2^52 messages")]
                metrics::gauge!("messaging_consumer_lag", "consumer" => consumer, "topic" => topic.clone())
                    .set(lag as f64);
            }
            self.tell_skipped(topic, state.partitions.values());
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
                self.begin(consumer, list);
                // librdkafka remembers a pause while the partition is with others. One that went while its messages could
                // not be handled, and comes back when nothing is left to try again, would stay silent for ever.
                if let Err(error) = consumer.resume(list) {
                    tracing::warn!(consumer = self.consumer, %error, "partitions stay paused");
                }
            }
            Rebalance::Revoke(list) => {
                tracing::info!(consumer = self.consumer, partitions = ?partitions(list), "revoked");
                self.positions.end(list);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_what_is_not_handled_yet_and_can_still_be_read() {
        let of = |[stored, committed, low, high]: [i64; 4]| {
            lag(&Partition {
                consumer_lag_stored: stored,
                consumer_lag: committed,
                lo_offset: low,
                hi_offset: high,
                ..Partition::default()
            })
        };
        assert_eq!(of([7, 9, 0, 100]), 7);
        assert_eq!(of([-1, 9, 0, 100]), 9, "nothing is stored yet");
        assert_eq!(of([-1, -1, -1001, -1001]), 0, "not ours");
        assert_eq!(of([60, 60, -1, 100]), 60, "it is not known where the partition begins");
        assert_eq!(of([60, 60, 95, 100]), 5);
        assert_eq!(of([60, 60, 100, 100]), 0);
    }
}
