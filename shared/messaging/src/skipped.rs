//! What was deleted before it was read: a topic's retention waits for nobody. A reader that comes too late is led to where the
//! partition begins now, without a word. So every reader notes which offset it expects next in each partition.
//!
//! Not every offset that is left out was a message: transactions and compaction leave holes. Only what is before the beginning of
//! the partition is deleted.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::statistics::Partition;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

/// What comes next in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// This offset, or a later one.
    At(i64),
    /// The group has committed nothing here. It is new, or it was away for so long that brokers have forgotten its offsets.
    NeverRead,
}

/// What is deleted although it was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skipped {
    /// Everything from the first offset up to before the second.
    Between(i64, i64),
    /// Whatever was before this offset, of which nobody knows how much was read.
    Before(i64),
}

/// The next offset of each partition, by topic. What is not in it is not known, and the first message tells.
#[derive(Debug, Default)]
pub(crate) struct Positions(Mutex<HashMap<String, HashMap<i32, Next>>>);

impl Positions {
    /// Partitions came, with the offsets that the group has `committed`.
    pub(crate) fn begin(&self, committed: &TopicPartitionList) {
        for it in committed.elements() {
            let next = match it.offset() {
                Offset::Offset(next) => Next::At(next),
                _ => Next::NeverRead,
            };
            self.set(it.topic(), it.partition(), next);
        }
    }

    /// Partitions went to others.
    pub(crate) fn end(&self, partitions: &TopicPartitionList) {
        let mut positions = self.lock();
        for it in partitions.elements() {
            if let Some(topic) = positions.get_mut(it.topic()) {
                topic.remove(&it.partition());
            }
        }
    }

    /// A message came. `low` says where the partition begins, as far as that is known.
    pub(crate) fn arrived(
        &self,
        (topic, partition, offset): (&str, i32, i64),
        low: impl FnOnce() -> Option<i64>,
    ) -> Option<Skipped> {
        let before = self.set(topic, partition, Next::At(offset + 1))?;
        // Most messages are the next one. Those that come again are none that were skipped.
        if matches!(before, Next::At(expected) if offset <= expected) {
            return None;
        }
        skipped(before, low()?.min(offset))
    }

    /// Librdkafka tells how far it is with a partition: that also shows what is deleted where no message comes any more.
    pub(crate) fn told(&self, topic: &str, state: &Partition) -> Option<Skipped> {
        // What was fetched before it was deleted is still to come: it is in the client's queue.
        if state.fetchq_cnt > 0 || state.next_offset < state.lo_offset {
            return None;
        }
        let before = self.lock().get(topic)?.get(&state.partition).copied()?;
        let skipped = skipped(before, state.lo_offset)?;
        self.set(topic, state.partition, Next::At(state.lo_offset));
        Some(skipped)
    }

    /// Notes what comes next; returns what was noted before.
    fn set(&self, topic: &str, partition: i32, next: Next) -> Option<Next> {
        let mut positions = self.lock();
        if let Some(known) = positions.get_mut(topic) {
            return known.insert(partition, next);
        }
        positions.insert(topic.to_owned(), HashMap::from([(partition, next)]));
        None
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, HashMap<i32, Next>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a reader that waits for `next` misses in a partition that begins at `low`.
fn skipped(next: Next, low: i64) -> Option<Skipped> {
    match next {
        Next::At(expected) => (low > expected).then_some(Skipped::Between(expected, low)),
        Next::NeverRead => (low > 0).then_some(Skipped::Before(low)),
    }
}

impl Skipped {
    /// Counts it and logs it.
    pub(crate) fn tell(self, consumer: &'static str, topic: &str, partition: i32) {
        match self {
            Self::Between(from, to) => {
                let count = to.abs_diff(from);
                metrics::counter!("messaging_offsets_skipped_total", "consumer" => consumer, "topic" => topic.to_owned())
                    .increment(count);
                tracing::warn!(
                    consumer,
                    topic,
                    partition,
                    from,
                    to,
                    count,
                    "messages were deleted before they were read"
                );
            }
            Self::Before(to) => {
                tracing::warn!(
                    consumer,
                    topic,
                    partition,
                    to,
                    "messages were deleted, and nobody knows whether they were read: no offset is committed"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Positions of a group that has committed this offset.
    fn committed(offset: Offset) -> Positions {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("notes", 1, offset).unwrap();
        let positions = Positions::default();
        positions.begin(&list);
        positions
    }

    /// What librdkafka tells of a partition from which everything that was fetched was taken.
    fn state(low: i64, next: i64) -> Partition {
        Partition { partition: 1, lo_offset: low, next_offset: next, ..Partition::default() }
    }

    #[test]
    fn what_is_before_the_beginning_of_the_partition_was_deleted_and_other_holes_were_no_messages() {
        let positions = committed(Offset::Offset(10));
        let arrived = |offset, low| positions.arrived(("notes", 1, offset), || low);
        assert_eq!(arrived(12, Some(10)), None);
        assert_eq!(arrived(13, None), None);
        assert_eq!(arrived(20, Some(14)), None);
        assert_eq!(arrived(20, Some(30)), None, "a message that comes again");
        assert_eq!(arrived(30, Some(25)), Some(Skipped::Between(21, 25)));
        // More was deleted meanwhile, but not before it was fetched.
        assert_eq!(arrived(40, Some(100)), Some(Skipped::Between(31, 40)));
        assert_eq!(arrived(50, None), None);
    }

    #[test]
    fn what_was_deleted_shows_also_where_no_message_comes_and_once() {
        let positions = committed(Offset::Offset(10));
        assert_eq!(positions.told("notes", &state(10, 10)), None);
        assert_eq!(positions.told("notes", &state(-1, -1)), None);
        assert_eq!(positions.told("notes", &state(25, 10)), None, "librdkafka has not come to it yet");
        let queued = Partition { fetchq_cnt: 3, ..state(25, 30) };
        assert_eq!(positions.told("notes", &queued), None, "what is fetched is still to come");
        assert_eq!(positions.told("notes", &state(25, 30)), Some(Skipped::Between(10, 25)));
        assert_eq!(positions.told("notes", &state(25, 30)), None);
        assert_eq!(positions.arrived(("notes", 1, 25), || Some(25)), None);
    }

    #[test]
    fn of_a_group_that_has_committed_nothing_nobody_knows_what_it_missed() {
        assert_eq!(committed(Offset::Invalid).told("notes", &state(0, 0)), None);
        assert_eq!(committed(Offset::Invalid).arrived(("notes", 1, 0), || Some(0)), None);
        let positions = committed(Offset::Invalid);
        assert_eq!(positions.told("notes", &state(25, 25)), Some(Skipped::Before(25)));
        assert_eq!(positions.told("notes", &state(25, 25)), None);
        let positions = committed(Offset::Invalid);
        assert_eq!(positions.arrived(("notes", 1, 26), || Some(25)), Some(Skipped::Before(25)));
    }

    #[test]
    fn of_a_partition_that_went_to_others_nothing_is_said() {
        let positions = committed(Offset::Offset(10));
        let mut gone = TopicPartitionList::new();
        gone.add_partition("notes", 1);
        positions.end(&gone);
        assert_eq!(positions.told("notes", &state(25, 25)), None);
        assert_eq!(positions.arrived(("notes", 1, 40), || Some(25)), None);
        // From here on it is known again.
        assert_eq!(positions.arrived(("notes", 1, 60), || Some(50)), Some(Skipped::Between(41, 50)));
    }
}
