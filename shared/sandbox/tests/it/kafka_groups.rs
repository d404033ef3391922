//! Consumer groups on a private broker: the offsets they commit, and how partitions change hands.

use std::time::{Duration, Instant};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer, StreamConsumer},
};
use sandbox::Kafka;
use tokio::time::timeout;

use crate::kafka::{ANSWER_MAX, consumer, create_topic, producer, receive, send, start};

const TOPIC: &str = "greetings";

/// Lets every member work until partitions are spread as `counts` says; how long that took.
async fn settle(members: &[(&StreamConsumer, usize)]) -> Duration {
    let began = Instant::now();
    loop {
        for (member, _) in members {
            // Nothing is sent: this serves the group protocol.
            let _ = timeout(Duration::from_millis(5), member.recv()).await;
        }
        let held = |member: &StreamConsumer| member.assignment().unwrap().count();
        if members.iter().all(|(member, count)| held(member) == *count) {
            return began.elapsed();
        }
        assert!(began.elapsed() < ANSWER_MAX, "the group does not settle");
    }
}

/// How long a first member waits for its partitions, a second for its half, and the first for what the second leaves.
async fn join(kafka: &Kafka, session_timeout_ms: u32) -> (Duration, Duration, Duration) {
    let group = format!("group-{session_timeout_ms}");
    let member = || {
        let member = consumer(kafka, &group, session_timeout_ms);
        member.subscribe(&[TOPIC]).unwrap();
        member
    };
    let one = member();
    let first = settle(&[(&one, 4)]).await;
    let two = member();
    let second = settle(&[(&one, 2), (&two, 2)]).await;
    drop(two);
    let left = settle(&[(&one, 4)]).await;
    (first, second, left)
}

#[tokio::test]
async fn members_share_partitions_and_take_over_those_of_one_that_leaves() {
    let kafka = start().await;
    create_topic(&kafka, TOPIC, 4).await;
    let mut quickest = Duration::MAX;
    for session_timeout_ms in [6000, 2000, 1500] {
        let (first, second, left) = join(&kafka, session_timeout_ms).await;
        println!(
            "session.timeout.ms={session_timeout_ms}: first {first:.1?}, second {second:.1?}, leave {left:.1?}"
        );
        quickest = quickest.min(first);
    }
    // A broker that delays the first rebalance delays it for each of them.
    assert!(quickest < Duration::from_secs(3), "the first member waited {quickest:?}");
    kafka.stop().await.unwrap();
}

/// A function of its own because the list refers to the consumer's partitions: the consumer's end would wait for the end
/// of the list.
fn committed(consumer: &StreamConsumer) -> Offset {
    let committed = consumer.committed(ANSWER_MAX).unwrap();
    committed.find_partition(TOPIC, 0).unwrap().offset()
}

#[tokio::test]
async fn a_group_goes_on_where_it_committed() {
    let kafka = start().await;
    create_topic(&kafka, TOPIC, 1).await;
    let producer = producer(&kafka);
    for payload in ["zero", "one", "two"] {
        send(&producer, TOPIC, 0, payload).await;
    }

    let first = consumer(&kafka, "group", 6000);
    first.subscribe(&[TOPIC]).unwrap();
    assert_eq!(receive(&first).await, "zero");
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(TOPIC, 0, Offset::Offset(2)).unwrap();
    first.commit(&offsets, CommitMode::Sync).unwrap();
    assert_eq!(committed(&first), Offset::Offset(2));
    drop(first);

    let second = consumer(&kafka, "group", 6000);
    second.subscribe(&[TOPIC]).unwrap();
    assert_eq!(receive(&second).await, "two");
    kafka.stop().await.unwrap();
}
