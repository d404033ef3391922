//! Partitions that are added while everything runs. Only a real broker can add them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use messaging::{
    Cause, KafkaSettings, Outcomes, Outgoing, Producer, Replay, ReplaySettings, Replayed, replay_dead_letters,
};
use rdkafka::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use uuid::Uuid;

use crate::notebook::{Answered, Answers, Fault, Kept, KeptNotes, Orders, note};
use crate::outbox::say;
use crate::wire::{Raw, envelope};
use crate::world::{PARTITIONS, Worker, World, eventually, topology};

/// How long it may take until what is in a new partition is read, and new partitions are written to. Long before librdkafka
/// would see to it by itself.
const SOON: Duration = Duration::from_secs(20);
/// To how many partitions a topic grows.
const GROWN: i32 = 3 * PARTITIONS;
/// One that was added.
const NEW: i32 = GROWN - 1;

impl World {
    /// Grows `topics` (without the prefix); `false` where the broker cannot.
    async fn grow(&self, topics: &[&str]) -> bool {
        let partitions = usize::try_from(GROWN).unwrap();
        let topics: Vec<_> = topics.iter().map(|topic| (self.settings.topic(topic), partitions)).collect();
        if !self.kafka.grow_topics(&topics).await.unwrap() {
            return false;
        }
        for (topic, _) in topics {
            eventually("the new partitions are served", async || self.serves_all(&topic).await).await;
        }
        true
    }

    async fn serves_all(&self, topic: &str) -> bool {
        let (config, topic) = (self.wire(), topic.to_owned());
        let ask = move || {
            let client: BaseConsumer = config.create().unwrap();
            (0..GROWN).all(|it| client.fetch_watermarks(&topic, it, Duration::from_secs(5)).is_ok())
        };
        spawn_blocking(ask).await.unwrap()
    }

    /// Whether one of the partitions that were added to `topic` has a message.
    async fn new_partitions_are_written_to(&self, topic: &str) -> bool {
        let published = self.everything_in(&self.settings.topic(topic)).await;
        published.iter().any(|message| message.partition() >= PARTITIONS)
    }
}

/// Asserts that it took no longer than it may.
fn assert_soon(what: &str, since: Instant) {
    let took = since.elapsed();
    println!("{what} {took:.1?} after the topic grew");
    assert!(took < SOON, "{what}: {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_reads_new_partitions_from_their_beginning() {
    let world = World::start().await;
    let outcomes: Arc<Outcomes<Answers>> = Outcomes::new();
    // Time enough for others to learn of a partition, and write to it, before this gateway does.
    let settings = KafkaSettings { kafka_metadata_refresh_ms: 8000, ..world.settings.clone() };
    let reading = Worker::run(|shutdown| Arc::clone(&outcomes).read(settings, shutdown));
    eventually("it reads", async || outcomes.is_reading()).await;
    let metadata = envelope("Answered");
    let mut waiting = outcomes.wait_for(metadata.correlation_id);
    if !world.grow(&["answers"]).await {
        reading.stop().await;
        return world.stop().await;
    }
    let grown = Instant::now();
    let answer = |number| Raw::of("Answered", "a", format!("{{\"number\": {number}}}"));
    world.send("answers", Some(NEW), vec![answer(1).with(&metadata)]).await;
    let Answers::Answered(first) = timeout(SOON, waiting.next()).await.expect("an answer").message;
    assert_eq!(first.number, 1);
    assert_soon("a gateway read a new partition", grown);
    // The old ones are read on, and nothing twice.
    world.send("answers", Some(0), vec![answer(2).with(&metadata)]).await;
    let Answers::Answered(second) = timeout(SOON, waiting.next()).await.expect("an answer").message;
    assert_eq!(second.number, 2);
    reading.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_shares_new_partitions_and_begins_at_their_beginning() {
    let world = World::start().await;
    let members = [world.member("one", &Arc::default()), world.member("two", &Arc::default())];
    world.send("notes", None, (0..20).map(|number| Raw::note(&number.to_string(), number)).collect()).await;
    world.until_effects(20).await;
    if world.grow(&["notes"]).await {
        let grown = Instant::now();
        for partition in 0..GROWN {
            let number = i64::from(partition);
            world.send("notes", Some(partition), vec![Raw::note("new", number)]).await;
        }
        world.until_effects(20 + usize::try_from(GROWN).unwrap()).await;
        assert_soon("a group had handled what is in new partitions", grown);
    }
    for member in members {
        member.stop().await;
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_and_a_gateway_that_have_been_at_work_write_to_new_partitions() {
    let world = World::start().await;
    let (outbox, gateway) = (world.outbox(), Producer::new("gateway", &world.settings).unwrap());
    let relay = Worker::relay(outbox.clone());
    // Keys enough for every partition to have some.
    let publish = async || {
        for number in 0..40 {
            let answer = Outgoing::new(number, "note/1", &Answered { number });
            let cause = Cause::request(Uuid::now_v7());
            // A broker may be slow at first; then it is not known whether it has the answer, and there are others.
            let _ = gateway.publish(answer, &cause, (Instant::now() + SOON).into()).await;
        }
        say(&outbox, (0..40).map(|number| note(&number.to_string(), number)).collect()).await;
        world.until_outbox_is_empty().await;
    };
    publish().await;
    if world.grow(&["notes", "answers"]).await {
        let grown = Instant::now();
        for topic in ["answers", "notes"] {
            eventually("new partitions are written to", async || {
                publish().await;
                world.new_partitions_are_written_to(topic).await
            })
            .await;
        }
        assert_soon("relay and gateway wrote to new partitions", grown);
    }
    relay.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_has_begun_reads_new_partitions_the_next_time() {
    let world = World::start().await;
    let kept = |number| {
        let body = serde_json::to_vec(&Kept { key: "a".to_owned(), number }).unwrap();
        Raw::of("Kept", "a", body)
    };
    world.send("kept", None, vec![kept(1)]).await;
    let mut replay: Replay<KeptNotes> = Replay::from_beginning(&world.settings, "kept").unwrap();
    let mut read = Vec::new();
    replay.up_to_now(|event| read.push(event.message)).await.unwrap();
    if world.grow(&["kept"]).await {
        world.send("kept", Some(NEW), vec![kept(2), kept(3)]).await;
        replay.up_to_now(|event| read.push(event.message)).await.unwrap();
        let numbers = read.iter().map(|KeptNotes::Kept(kept)| kept.number);
        assert!(numbers.eq([1, 2, 3]), "{read:?}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_in_new_partitions_are_sent_again() {
    let world = World::start().await;
    let orders = Arc::new(Orders::default());
    orders.set(1, Fault::Permanent);
    world.send("notes", None, vec![Raw::note("a", 1), Raw::note("a", 2)]).await;
    let reader = world.member("one", &orders);
    world.until_effects(1).await;
    let replay = ReplaySettings { kafka: world.settings.clone(), topic: "notes.reader.dlt".to_owned() };
    let all_sent = |sent| Replayed { sent, bodiless: 0 };
    let dead = world.settings.dead_letter_topic("notes", "reader");
    eventually("it is put aside", async || world.everything_in(&dead).await.len() == 1).await;
    orders.clear();
    assert_eq!(replay_dead_letters(&replay, &topology()).await.unwrap(), all_sent(1));
    world.until_effects(2).await;
    if world.grow(&["notes.reader.dlt", "notes"]).await {
        let letters = world.everything_in(&dead).await;
        let again = Raw {
            key: letters[0].key().map(<[u8]>::to_vec),
            headers: rdkafka::Message::headers(&letters[0]).cloned(),
            body: letters[0].payload().map(<[u8]>::to_vec),
        };
        world.send("notes.reader.dlt", Some(NEW), vec![again]).await;
        assert_eq!(replay_dead_letters(&replay, &topology()).await.unwrap(), all_sent(1));
        assert_eq!(replay_dead_letters(&replay, &topology()).await.unwrap(), all_sent(0));
    }
    reader.stop().await;
    world.stop().await;
}
