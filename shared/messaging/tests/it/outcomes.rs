//! What waiting clients get.

use std::sync::Arc;
use std::time::Duration;

use messaging::{Cause, Outcomes, Outgoing, Producer, Waiting};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::notebook::{Answered, Answers};
use crate::wire::{Raw, envelope};
use crate::world::{DEADLINE, Worker, World, eventually};

struct Gateway {
    outcomes: Arc<Outcomes<Answers>>,
    producer: Producer,
    reading: Worker,
}

impl Gateway {
    async fn start(world: &World) -> Self {
        let outcomes = Outcomes::new();
        let producer = Producer::new("gateway", &world.settings).unwrap();
        assert!(!outcomes.is_reading());
        let reading = Worker::run(|shutdown| Arc::clone(&outcomes).read(world.settings.clone(), shutdown));
        eventually("it reads", async || outcomes.is_reading()).await;
        Self { outcomes, producer, reading }
    }

    /// Publishes an answer; returns its id.
    async fn answer(&self, correlation_id: Uuid, number: i64) -> String {
        let answer = Outgoing::new("a", "note/1", &Answered { number });
        self.producer.publish(answer, &Cause::request(correlation_id), soon()).await.unwrap()
    }
}

/// Late enough.
fn soon() -> Instant {
    Instant::now() + DEADLINE
}

/// The number of the next answer.
async fn next(waiting: &mut Waiting<Answers>) -> i64 {
    let Answers::Answered(answer) = timeout(DEADLINE, waiting.next()).await.expect("an answer").message;
    answer.number
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_a_correlation_id_gets_its_messages_and_no_others() {
    let world = World::start().await;
    let gateway = Gateway::start(&world).await;
    let (one, two) = (Uuid::now_v7(), Uuid::now_v7());
    let mut first = gateway.outcomes.wait_for(one);
    let mut also_first = gateway.outcomes.wait_for(one);
    let mut second = gateway.outcomes.wait_for(two);
    gateway.answer(Uuid::now_v7(), 0).await;
    gateway.answer(one, 1).await;
    gateway.answer(two, 2).await;
    gateway.answer(one, 3).await;
    assert_eq!((next(&mut first).await, next(&mut first).await), (1, 3));
    assert_eq!((next(&mut also_first).await, next(&mut also_first).await), (1, 3));
    assert_eq!(next(&mut second).await, 2);
    // One that ends does not end the other's wait.
    drop(first);
    gateway.answer(one, 4).await;
    assert_eq!(next(&mut also_first).await, 4);
    gateway.reading.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_a_message_is_told_apart_from_others_of_the_same_request() {
    let world = World::start().await;
    let gateway = Gateway::start(&world).await;
    let correlation_id = Uuid::now_v7();
    let mut waiting = gateway.outcomes.wait_for(correlation_id);
    let request = gateway.answer(correlation_id, 1).await;
    let cause = Cause {
        correlation_id,
        causation_id: Some(request.clone()),
        traceparent: None,
        return_address: None,
    };
    let answer = Outgoing::new("a", "note/1", &Answered { number: 2 });
    gateway.producer.publish(answer, &cause, soon()).await.unwrap();
    let Answers::Answered(answer) = timeout(DEADLINE, waiting.answer_to(&request)).await.unwrap();
    assert_eq!(answer.number, 2);
    gateway.reading.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_before_reading_began_and_what_is_no_message_is_not_delivered() {
    let world = World::start().await;
    let mut metadata = envelope("Answered");
    let answer = |number: i64| Raw::of("", "a", format!("{{\"number\": {number}}}"));
    world.send("answers", None, vec![answer(1).with(&metadata)]).await;
    let gateway = Gateway::start(&world).await;
    let mut waiting = gateway.outcomes.wait_for(metadata.correlation_id);
    let broken = Raw { body: Some(b"{".to_vec()), ..answer(0).with(&metadata) };
    let bare = Raw { headers: None, ..answer(0) };
    metadata.kind = "Shouted".to_owned();
    let unknown = answer(0).with(&metadata);
    metadata.kind = "Answered".to_owned();
    world.send("answers", None, vec![broken, bare, unknown, answer(2).with(&metadata)]).await;
    assert_eq!(next(&mut waiting).await, 2);
    gateway.reading.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_go_and_come_back_lose_no_answer() {
    let world = World::with_own_broker().await;
    let gateway = Gateway::start(&world).await;
    let correlation_id = Uuid::now_v7();
    let mut waiting = gateway.outcomes.wait_for(correlation_id);
    gateway.answer(correlation_id, 1).await;
    assert_eq!(next(&mut waiting).await, 1);
    world.kafka.down().await.unwrap();
    let message = Outgoing::new("a", "note/1", &Answered { number: 2 });
    let cause = Cause::request(correlation_id);
    let unanswered = gateway.producer.publish(message, &cause, Instant::now()).await;
    assert!(unanswered.is_err());
    world.kafka.up().await.unwrap();
    // Whoever was told that it is not known whether Kafka has it says it again.
    eventually("Kafka takes it", async || {
        let message = Outgoing::new("a", "note/1", &Answered { number: 3 });
        gateway.producer.publish(message, &cause, soon()).await.is_ok()
    })
    .await;
    let mut number = next(&mut waiting).await;
    if number == 2 {
        number = next(&mut waiting).await;
    }
    assert_eq!(number, 3);
    gateway.reading.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_waits_for_brokers_that_are_away_at_its_start() {
    let world = World::with_own_broker().await;
    world.kafka.down().await.unwrap();
    let outcomes: Arc<Outcomes<Answers>> = Outcomes::new();
    let reading = Worker::run(|shutdown| Arc::clone(&outcomes).read(world.settings.clone(), shutdown));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!outcomes.is_reading());
    world.kafka.up().await.unwrap();
    eventually("it reads", async || outcomes.is_reading()).await;
    reading.stop().await;
    world.stop().await;
}
