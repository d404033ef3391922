//! Outbox and relay while nothing is away.

use std::time::{Duration, Instant};

use messaging::{Cause, Metadata, Outbox, Outgoing};
use sqlx::Connection as _;
use tokio::time::timeout;
use uuid::Uuid;

use crate::notebook::{Kept, note};
use crate::wire::{close, header, notes};
use crate::world::{DEADLINE, Worker, World, eventually};

/// Says `messages` in a transaction of their own.
pub async fn say(outbox: &Outbox, messages: Vec<Outgoing>) {
    let mut conn = outbox.pool().acquire().await.unwrap();
    let mut tx = conn.begin().await.unwrap();
    outbox.append(&mut tx, &Cause::request(Uuid::now_v7()), messages).await.unwrap();
    tx.commit().await.unwrap();
    outbox.wake();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_committed_transaction_said_is_published_once_and_in_order_and_what_a_rolled_back_one_said_never()
 {
    let world = World::start().await;
    let outbox = world.outbox();
    let relay = Worker::relay(outbox.clone());
    // More than the relay takes at a time, some of it before it has the lock.
    for round in 0..60 {
        let keys = ["a", "b", "c"].iter().cycle();
        let messages = (0..20).zip(keys).map(|(i, key)| note(key, round * 20 + i)).collect();
        say(&outbox, messages).await;
        let mut conn = outbox.pool().acquire().await.unwrap();
        let mut tx = conn.begin().await.unwrap();
        let never = vec![note("a", -1), note("b", -1)];
        outbox.append(&mut tx, &Cause::request(Uuid::now_v7()), never).await.unwrap();
        tx.rollback().await.unwrap();
    }
    world.until_outbox_is_empty().await;
    relay.stop().await;

    let published = notes(&world.everything_in(&world.settings.topic("notes")).await);
    assert_eq!(published.len(), 1200);
    for (first, key) in (0..).zip(["a", "b", "c"]) {
        let of_key = published.iter().filter(|note| note.key == key).map(|note| note.number);
        let said = (0..60).flat_map(|round| (first..20).step_by(3).map(move |i| round * 20 + i));
        assert!(of_key.eq(said), "{key}: {published:?}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_has_its_envelope_and_its_key() {
    let world = World::start().await;
    let outbox = world.outbox();
    let (correlation_id, causation_id) = (Uuid::now_v7(), Some(Uuid::now_v7().to_string()));
    let cause = Cause { correlation_id, causation_id, traceparent: None, return_address: None };
    let mut conn = outbox.pool().acquire().await.unwrap();
    let mut tx = conn.begin().await.unwrap();
    let text = "ключ \u{1F511} \"\\\u{0}\n";
    let said = Outgoing::new("ключ", "note/ä", &Kept { key: text.to_owned(), number: i64::MIN }).version(7);
    outbox.append(&mut tx, &cause, vec![said]).await.unwrap();
    tx.commit().await.unwrap();
    let relay = Worker::relay(outbox);
    world.until_outbox_is_empty().await;
    relay.stop().await;

    let published = world.everything_in(&world.settings.topic("kept")).await;
    let [message] = &published[..] else { panic!("{published:?}") };
    let metadata = Metadata::of(message).unwrap();
    assert_eq!((metadata.source.as_str(), metadata.kind.as_str()), ("/notes", "Kept"));
    assert_eq!(metadata.subject.as_deref(), Some("note/ä"));
    assert_eq!(metadata.correlation_id, cause.correlation_id);
    assert_eq!(metadata.causation_id, cause.causation_id);
    assert_eq!(metadata.aggregate_version, Some(7));
    assert_eq!(header(message, "content-type").as_deref(), Some("application/json"));
    assert_eq!(rdkafka::Message::key(message), Some("ключ".as_bytes()));
    let body: Kept = serde_json::from_slice(rdkafka::Message::payload(message).unwrap()).unwrap();
    assert_eq!(body, Kept { key: text.to_owned(), number: i64::MIN });
    world.stop().await;
}

/// The time from a commit in `outbox` until a reader of the topic has the message: the lower quartile, since a busy machine
/// makes some slow.
async fn quick_latency(world: &World, outbox: &Outbox) -> Duration {
    let (reader, _) = world.reader(&world.settings.topic("notes"), true).await;
    let mut latencies = Vec::new();
    for number in 0..21 {
        let mut conn = outbox.pool().acquire().await.unwrap();
        let mut tx = conn.begin().await.unwrap();
        let messages = vec![note("a", number)];
        outbox.append(&mut tx, &Cause::request(Uuid::now_v7()), messages).await.unwrap();
        tx.commit().await.unwrap();
        let committed = Instant::now();
        outbox.wake();
        let arrived = async { while reader.recv().await.is_err() {} };
        timeout(DEADLINE, arrived).await.expect("it arrives");
        // The first finds the clients' connections not yet made.
        if number > 0 {
            latencies.push(committed.elapsed());
        }
    }
    close(reader).await;
    latencies.sort_unstable();
    latencies[latencies.len() / 4]
}

/// Half of the relay's poll interval, which each of them would take if nobody woke it.
const WOKEN_MAX: Duration = Duration::from_millis(45);

#[tokio::test(flavor = "multi_thread")]
async fn the_relay_is_woken_by_a_commit() {
    let world = World::start().await;
    let outbox = world.outbox();
    let relay = Worker::relay(outbox.clone());
    let latency = quick_latency(&world, &outbox).await;
    println!("commit to reader, woken in the process: {latency:.1?}");
    assert!(latency < WOKEN_MAX, "{latency:?}");
    relay.stop().await;
    world.stop().await;
}

/// The processes in the database that hold the relay's lock.
pub async fn lock_holders(world: &World) -> Vec<i32> {
    let query = "select pid from pg_locks
                 where locktype = 'advisory' and granted
                   and database = (select oid from pg_database where datname = current_database())";
    sqlx::query_scalar(query).fetch_all(&world.pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_without_the_lock_wakes_the_one_that_has_it() {
    let world = World::start().await;
    let with_lock = Worker::relay(world.outbox());
    eventually("one has the lock", async || lock_holders(&world).await.len() == 1).await;
    let other = world.outbox();
    let without_lock = Worker::relay(other.clone());
    let latency = quick_latency(&world, &other).await;
    println!("commit to reader, woken by another replica: {latency:.1?}");
    assert!(latency < WOKEN_MAX, "{latency:?}");
    assert_eq!(lock_holders(&world).await.len(), 1);
    without_lock.stop().await;
    with_lock.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_stops_publishes_first_what_was_said() {
    let world = World::start().await;
    let outbox = world.outbox();
    let relay = Worker::relay(outbox.clone());
    eventually("it has the lock", async || lock_holders(&world).await.len() == 1).await;
    say(&outbox, (0..1300).map(|number| note("a", number)).collect()).await;
    let took = relay.stop().await;
    println!("a relay with 1300 messages to publish stopped after {took:.1?}");
    assert_eq!(world.waiting().await, 0);
    assert_eq!(world.count_in("notes").await, 1300);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_large_messages_are_more_than_the_producer_holds_and_are_published_all_the_same() {
    let world = World::start().await;
    let outbox = world.outbox();
    let large = |number| Outgoing::new("a", "note/1", &Kept { key: "x".repeat(400_000), number });
    for round in 0..10 {
        say(&outbox, (0..6).map(|i| large(round * 6 + i)).collect()).await;
    }
    let relay = Worker::relay(outbox);
    world.until_outbox_is_empty().await;
    relay.stop().await;
    assert_eq!(world.count_in("kept").await, 60);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_kafka_would_refuse_is_refused_before_it_is_stored_and_holds_up_no_others() {
    let world = World::start().await;
    let outbox = world.outbox();
    let of = |bytes| Outgoing::new("a", "note/1", &Kept { key: "x".repeat(bytes), number: 1 });
    let mut conn = outbox.pool().acquire().await.unwrap();
    let mut tx = conn.begin().await.unwrap();
    let cause = Cause::request(Uuid::now_v7());
    let refused = outbox.append(&mut tx, &cause, vec![note("a", 1), of(950_000)]).await.unwrap_err();
    assert!(refused.to_string().contains("Kept is too large"), "{refused}");
    drop(tx);
    // Key and subject count as well.
    let (key, subject) = ("k".repeat(500_000), "s".repeat(500_000));
    for large in [
        Outgoing::new(&key, "s", &Kept { key: key.clone(), number: 1 }),
        Outgoing::new("a", &subject, &Kept { key: key.clone(), number: 1 }),
    ] {
        let mut tx = conn.begin().await.unwrap();
        let refused = outbox.append(&mut tx, &cause, vec![large]).await.unwrap_err();
        assert!(refused.to_string().contains("Kept is too large"), "{refused}");
    }
    drop(conn);

    say(&outbox, vec![note("a", 1), of(890_000), note("a", 2)]).await;
    let relay = Worker::relay(outbox);
    world.until_outbox_is_empty().await;
    relay.stop().await;
    assert_eq!((world.count_in("notes").await, world.count_in("kept").await), (2, 1));
    world.stop().await;
}
