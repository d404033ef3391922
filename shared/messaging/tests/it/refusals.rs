//! Brokers that fail in the middle of what they are given: they take the beginning, and refuse the rest, or lose track of it.
//! Most of this only the in-memory broker can be made to do.

use std::sync::Arc;
use std::time::Duration;

use messaging::{Cause, Producer};
use rdkafka::Message as _;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::types::{RDKafkaApiKey as Requests, RDKafkaRespErr as Answer};
use tokio::time::Instant;
use uuid::Uuid;

use crate::notebook::{Fault, Orders, note};
use crate::outbox::say;
use crate::outbox_faults::assert_published_in_order;
use crate::wire::{Raw, notes};
use crate::world::{DEADLINE, Worker, World, eventually, numbers_of};

/// Taken.
const OK: Answer = Answer::RD_KAFKA_RESP_ERR_NO_ERROR;
/// Refused for good.
const TOO_LARGE: Answer = Answer::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
/// The broker has not what the producer thinks that it has. For an idempotent producer that is the end.
const OUT_OF_ORDER: Answer = Answer::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;

/// Keys of different partitions.
const KEYS: [&str; 3] = ["a", "c", "d"];

/// A world whose broker can be made to fail; `None` where that is a real one.
async fn world_with_faults() -> Option<World> {
    let mut world = World::with_own_broker().await;
    world.settings.kafka_delivery_timeout_ms = 1000;
    if world.kafka.in_memory().is_some() {
        return Some(world);
    }
    world.stop().await;
    None
}

impl World {
    /// Has the broker answer the next requests of a kind, one each.
    fn answer(&self, requests: Requests, answers: &[Answer]) {
        self.kafka.in_memory().unwrap().answer(requests, answers);
    }

    fn delay_answers(&self, by: Duration) {
        self.kafka.in_memory().unwrap().delay_answers(by).unwrap();
    }

    /// The partition into which notes of `key` go.
    async fn partition_of(&self, key: &str) -> i32 {
        self.send("notes", None, vec![Raw::note(key, -1)]).await;
        let published = self.everything_in(&self.settings.topic("notes")).await;
        published.iter().find(|message| message.key() == Some(key.as_bytes())).unwrap().partition()
    }

    /// Asserts that each of [`KEYS`] has its notes of `0..count`, first in order; what came again does not count.
    async fn assert_all_published(&self, count: i64) {
        let published = notes(&self.everything_in(&self.settings.topic("notes")).await);
        for key in KEYS {
            let mut next = 0;
            for note in published.iter().filter(|note| note.key == key && note.number >= 0) {
                assert!(note.number <= next, "{} of {key} came before {next}", note.number);
                next = next.max(note.number + 1);
            }
            assert_eq!(next, count, "{key}");
        }
    }
}

/// `0..count` of every key, key by key in turn.
fn in_turn(count: i64) -> Vec<messaging::Outgoing> {
    (0..count).flat_map(|number| KEYS.map(|key| note(key, number))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_batch_that_kafka_takes_in_part_what_it_refused_is_published_again() {
    for refusal in [TOO_LARGE, OUT_OF_ORDER] {
        for taken_before in 0..3 {
            let Some(world) = world_with_faults().await else { return };
            let outbox = world.outbox();
            say(&outbox, in_turn(20)).await;
            let answers: Vec<Answer> = std::iter::repeat_n(OK, taken_before).chain([refusal]).collect();
            world.answer(Requests::Produce, &answers);
            let relay = Worker::relay(outbox);
            world.until_outbox_is_empty().await;
            relay.stop().await;
            world.assert_all_published(20).await;
            world.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_batch_that_is_not_acknowledged_in_time_exactly_the_beginning_is_done_with() {
    let Some(world) = world_with_faults().await else { return };
    let topic = world.settings.topic("notes");
    let (first, second) = (world.partition_of("a").await, world.partition_of("c").await);
    assert_ne!(first, second);
    let outbox = world.outbox();
    for (key, numbers) in [("a", 0..10), ("c", 10..20), ("a", 20..30)] {
        say(&outbox, numbers.map(|number| note(key, number)).collect()).await;
    }
    let oldest = "select payload::json ->> 'number' from outbox order by id limit 1";
    let broker = world.kafka.in_memory().unwrap();
    broker.set_leader(&topic, second, false).unwrap();
    let relay = Worker::relay(outbox);
    eventually("the beginning is done with", async || world.waiting().await < 30).await;
    // Time for another try: what stands first now cannot be published.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let oldest: String = sqlx::query_scalar(oldest).fetch_one(&world.pool).await.unwrap();
    assert_eq!((world.waiting().await, &*oldest), (20, "10"));

    broker.set_leader(&topic, second, true).unwrap();
    world.until_outbox_is_empty().await;
    relay.stop().await;
    let published = notes(&world.everything_in(&topic).await);
    let mut numbers: Vec<i64> = published.iter().map(|note| note.number).filter(|it| *it >= 0).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert!(numbers.into_iter().eq(0..30), "{published:?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_too_late_comes_again_and_loses_and_reorders_nothing() {
    let Some(world) = world_with_faults().await else { return };
    let outbox = world.outbox();
    let relay = Worker::relay(outbox.clone());
    say(&outbox, in_turn(1)).await;
    world.until_outbox_is_empty().await;
    // Kafka has it, and the producer has given up by the time it hears so.
    world.delay_answers(Duration::from_secs(4));
    say(&outbox, in_turn(20).split_off(KEYS.len())).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    world.delay_answers(Duration::ZERO);
    world.until_outbox_is_empty().await;
    relay.stop().await;
    world.assert_all_published(20).await;
    assert!(world.count_in("notes").await > 60, "it was acknowledged in time");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_whose_producer_has_come_to_its_end_publishes_with_another() {
    let Some(world) = world_with_faults().await else { return };
    let gateway = Producer::new("gateway", &world.settings).unwrap();
    let cause = Cause::request(Uuid::now_v7());
    gateway.publish(note("a", 0), &cause, Instant::now() + DEADLINE).await.unwrap();
    world.answer(Requests::Produce, &[OUT_OF_ORDER]);
    gateway.publish(note("a", 1), &cause, Instant::now() + DEADLINE).await.unwrap_err();
    for number in 2..5 {
        gateway.publish(note("a", number), &cause, Instant::now() + DEADLINE).await.unwrap();
    }
    assert_eq!(world.count_in("notes").await, 4);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_put_aside_although_a_producer_has_come_to_its_end() {
    let Some(world) = world_with_faults().await else { return };
    let orders = Arc::new(Orders::default());
    orders.set(1, Fault::Permanent);
    orders.set(3, Fault::Permanent);
    world.send("notes", None, (0..5).map(|number| Raw::note("a", number)).collect()).await;
    world.answer(Requests::Produce, &[OUT_OF_ORDER]);
    let reader = world.member("one", &orders);
    assert_eq!(numbers_of(&world.until_effects(3).await, "a"), [0, 2, 4]);
    let dead = world.settings.dead_letter_topic("notes", "reader");
    eventually("both are put aside", async || {
        let dead = notes(&world.everything_in(&dead).await);
        dead.iter().map(|note| note.number).eq([1, 3])
    })
    .await;
    reader.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_cannot_go_on_says_so() {
    let Some(world) = world_with_faults().await else { return };
    let fenced = Answer::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID;
    world.answer(Requests::JoinGroup, &[fenced, fenced, fenced]);
    let reader = world.member("one", &Arc::default());
    let ended = tokio::time::timeout(DEADLINE, reader.task).await.expect("it ends").unwrap();
    let error = ended.unwrap_err().to_string();
    assert!(error.contains("the consumer reader cannot go on"), "{error}");
    world.stop().await;
}

/// Sets how large a message of the topic `notes` may be. Only a real broker looks at that.
async fn limit(world: &World, bytes: &str) {
    let admin: AdminClient<DefaultClientContext> = world.wire().create().unwrap();
    let topic = world.settings.topic("notes");
    let config = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("max.message.bytes", bytes);
    admin.alter_configs(&[config], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large_for_its_topic_holds_up_those_behind_it_until_that_is_mended() {
    let world = World::start().await;
    if world.kafka.is_in_memory() {
        return world.stop().await;
    }
    let outbox = world.outbox();
    say(&outbox, (0..20).map(|number| note("a", number)).collect()).await;
    let spoil = "with tenth as (select id from outbox order by id offset 10 limit 1)
                 update outbox set payload = rpad(payload, 20000) from tenth where outbox.id = tenth.id";
    sqlx::query(spoil).execute(&world.pool).await.unwrap();
    limit(&world, "9000").await;
    let relay = Worker::relay(outbox);
    eventually("those before it are published", async || world.waiting().await == 10).await;
    // Time for many tries.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.waiting().await, 10);
    limit(&world, "1000000").await;
    world.until_outbox_is_empty().await;
    relay.stop().await;
    assert_published_in_order(&world, 20).await;
    world.stop().await;
}
