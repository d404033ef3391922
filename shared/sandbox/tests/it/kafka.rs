//! A private broker: what the services need of one, and what a fault leaves. By default this is the in-memory one; with
//! `KAFKA_COMMAND` the same tests run against a real one.

use std::{env, time::Duration};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{Consumer, StreamConsumer},
    message::{Header, Headers, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use sandbox::{Kafka, SandboxError};
use tokio::time::timeout;

use crate::eventually;

/// For everything that a broker answers. A real one needs longest, for the first use of its group coordinator.
pub const ANSWER_MAX: Duration = Duration::from_secs(30);

pub async fn start() -> Kafka {
    Kafka::start_private().await.unwrap()
}

/// Clients as the services configure them, with the settings that the sandbox hands out.
pub fn config(kafka: &Kafka) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.brokers());
    config
}

pub fn consumer(kafka: &Kafka, group: &str, session_timeout_ms: u32) -> StreamConsumer {
    let mut config = config(kafka);
    for (name, wait_ms) in kafka.settings() {
        if name == "KAFKA_FETCH_WAIT_MS" {
            config.set("fetch.wait.max.ms", wait_ms);
        }
    }
    config
        .set("group.id", group)
        .set("session.timeout.ms", session_timeout_ms.to_string())
        .set("heartbeat.interval.ms", "100")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap()
}

pub fn producer(kafka: &Kafka) -> FutureProducer {
    config(kafka).set("enable.idempotence", "true").set("linger.ms", "0").create().unwrap()
}

/// By the sandbox, or by the admin protocol where the broker speaks it.
pub async fn create_topic(kafka: &Kafka, topic: &str, partitions: i32) {
    if kafka.create_topics(&[(topic.to_owned(), partitions)]).unwrap() {
        return;
    }
    let admin: AdminClient<DefaultClientContext> = config(kafka).create().unwrap();
    let topic = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let created = admin.create_topics(&[topic], &AdminOptions::new()).await.unwrap();
    created[0].as_ref().unwrap();
}

/// Sends to a partition and returns the offset.
pub async fn send(producer: &FutureProducer, topic: &str, partition: i32, payload: &str) -> i64 {
    let headers = OwnedHeaders::new().insert(Header { key: "type", value: Some("Greeted") });
    let record = FutureRecord::to(topic).partition(partition).key("k").payload(payload).headers(headers);
    producer.send(record, ANSWER_MAX).await.map_err(|(error, _)| error).unwrap().offset
}

/// The next message's payload. A consumer reports a lost broker as an error and finds it again by itself.
pub async fn receive(consumer: &StreamConsumer) -> String {
    let next = async {
        loop {
            if let Ok(message) = consumer.recv().await {
                break String::from_utf8(message.payload().unwrap().to_vec()).unwrap();
            }
        }
    };
    timeout(ANSWER_MAX, next).await.unwrap()
}

/// A consumer of one partition from an offset on, in no group's hands.
pub fn reader(kafka: &Kafka, topic: &str, partition: i32, offset: i64) -> StreamConsumer {
    let reader = consumer(kafka, "reader", 6000);
    let mut place = TopicPartitionList::new();
    place.add_partition_offset(topic, partition, Offset::Offset(offset)).unwrap();
    reader.assign(&place).unwrap();
    reader
}

#[tokio::test]
async fn what_is_produced_is_consumed_from_any_offset_with_its_headers() {
    let kafka = start().await;
    create_topic(&kafka, "greetings", 3).await;
    let producer = producer(&kafka);
    for (offset, payload) in (0..).zip(["zero", "one", "two"]) {
        assert_eq!(send(&producer, "greetings", 1, payload).await, offset);
    }

    let reader = reader(&kafka, "greetings", 1, 1);
    let message = timeout(ANSWER_MAX, reader.recv()).await.unwrap().unwrap();
    assert_eq!((message.partition(), message.offset(), message.key()), (1, 1, Some(&b"k"[..])));
    assert_eq!(message.payload(), Some(&b"one"[..]));
    let header = message.headers().unwrap().get(0);
    assert_eq!((header.key, header.value), ("type", Some(&b"Greeted"[..])));
    assert_eq!(receive(&reader).await, "two");

    assert_eq!(reader.fetch_watermarks("greetings", 1, ANSWER_MAX).unwrap(), (0, 3));
    assert_eq!(reader.fetch_watermarks("greetings", 2, ANSWER_MAX).unwrap(), (0, 0));
    kafka.stop().await.unwrap();
}

#[tokio::test]
async fn topics_are_created_once() {
    let kafka = start().await;
    let topics = [("orders".to_owned(), 3), ("orders.dead-letters".to_owned(), 1)];
    assert_eq!(kafka.create_topics(&topics).unwrap(), kafka.is_in_memory());
    assert_eq!(kafka.create_topics(&topics).unwrap(), kafka.is_in_memory());

    if kafka.is_in_memory() {
        let different = kafka.create_topics(&[("orders".to_owned(), 4)]).unwrap_err();
        assert_eq!(different.to_string(), "topic orders has 3 partitions already, not 4");
    }
    kafka.stop().await.unwrap();
}

#[tokio::test]
async fn a_broker_that_was_down_serves_its_clients_again_and_has_kept_its_messages() {
    let kafka = start().await;
    create_topic(&kafka, "greetings", 1).await;
    let producer = producer(&kafka);
    let consumer = consumer(&kafka, "group", 6000);
    consumer.subscribe(&["greetings"]).unwrap();
    send(&producer, "greetings", 0, "before").await;
    assert_eq!(receive(&consumer).await, "before");
    consumer.commit_consumer_state(rdkafka::consumer::CommitMode::Sync).unwrap();

    kafka.down().await.unwrap();
    kafka.down().await.unwrap();
    eventually("the port is closed", || std::net::TcpStream::connect(kafka.brokers()).is_err()).await;
    // The connection that the producer had is gone, too, or this would be acknowledged.
    let meanwhile = send(&producer, "greetings", 0, "meanwhile");
    tokio::pin!(meanwhile);
    assert!(timeout(Duration::from_secs(1), &mut meanwhile).await.is_err());

    let address = kafka.brokers().to_owned();
    kafka.up().await.unwrap();
    assert_eq!(kafka.brokers(), address);
    assert_eq!(meanwhile.await, 1);
    assert_eq!(receive(&consumer).await, "meanwhile");
    let reader = reader(&kafka, "greetings", 0, 0);
    assert_eq!(receive(&reader).await, "before");
    kafka.stop().await.unwrap();
}

#[tokio::test]
async fn the_services_are_told_what_this_broker_needs() {
    let kafka = start().await;
    let by_command = env::var("KAFKA_COMMAND").is_ok();
    assert!(kafka.is_private());
    assert_eq!(kafka.is_in_memory(), !by_command);
    assert_eq!(kafka.settings()[0], ("KAFKA_BROKERS", kafka.brokers().to_owned()));
    assert_eq!(kafka.settings().len(), if by_command { 1 } else { 2 });
    let description = kafka.describe();
    let expected = if by_command { "started by " } else { "librdkafka's in-memory broker (not Apache" };
    assert!(description.contains(expected), "{description}");
    kafka.stop().await.unwrap();
}

#[tokio::test]
async fn a_stopped_or_dropped_broker_listens_no_more() {
    for stop in [true, false] {
        let kafka = start().await;
        let address = kafka.brokers().to_owned();
        assert!(std::net::TcpStream::connect(&address).is_ok());
        if stop {
            kafka.stop().await.unwrap();
        } else {
            drop(kafka);
        }
        eventually("the port is closed", || std::net::TcpStream::connect(&address).is_err()).await;
    }
}

fn assert_send_and_sync<T: Send + Sync>() {}

#[test]
fn a_broker_and_its_errors_go_where_tasks_go() {
    assert_send_and_sync::<Kafka>();
    assert_send_and_sync::<SandboxError>();
}
