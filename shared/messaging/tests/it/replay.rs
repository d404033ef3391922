//! Reading a topic from its beginning, and again what has come since.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use messaging::{Event, Replay};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{Offset, TopicPartitionList};

use crate::notebook::{Kept, KeptNotes};
use crate::wire::Raw;
use crate::world::{PARTITIONS, World};

fn kept(key: &str, number: i64) -> Raw {
    let body = serde_json::to_vec(&Kept { key: key.to_owned(), number }).unwrap();
    Raw::of("Kept", key, body)
}

/// What `replay` reads: the numbers of each key, in order.
async fn read(replay: &mut Replay<KeptNotes>) -> HashMap<String, Vec<i64>> {
    let mut numbers: HashMap<String, Vec<i64>> = HashMap::new();
    let note = |event: Event<KeptNotes>| {
        let KeptNotes::Kept(kept) = event.message;
        numbers.entry(kept.key).or_default().push(kept.number);
    };
    replay.up_to_now(note).await.unwrap();
    numbers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_reads_all_partitions_up_to_now_and_later_the_rest() {
    let world = World::start().await;
    let mut replay = Replay::from_beginning(&world.settings, "kept").unwrap();
    assert!(read(&mut replay).await.is_empty());

    let keys = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let all: Vec<Raw> = (0..808).zip(keys.iter().cycle()).map(|(number, key)| kept(key, number)).collect();
    world.send("kept", None, all[..800].to_vec()).await;
    let first = read(&mut replay).await;
    for (first_number, key) in (0..).zip(keys) {
        assert!(first[key].iter().copied().eq((first_number..800).step_by(8)), "{key}");
    }
    assert!(read(&mut replay).await.is_empty());

    world.send("kept", None, all[800..].to_vec()).await;
    assert_eq!(read(&mut replay).await.values().flatten().count(), 8);
    let mut again = Replay::from_beginning(&world.settings, "kept").unwrap();
    assert_eq!(read(&mut again).await.values().flatten().count(), 808);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_passes_over_what_it_is_not_interested_in_also_at_the_end() {
    let world = World::start().await;
    for partition in 0..PARTITIONS - 1 {
        let bare = Raw { headers: None, ..kept("a", 0) };
        let messages = vec![
            Raw::of("Whispered", "a", "{}"),
            kept("a", i64::from(partition)),
            Raw::of("Shouted", "a", "{}"),
            Raw::of("Kept", "a", "{"),
            bare,
        ];
        world.send("kept", Some(partition), messages).await;
    }
    let mut replay = Replay::from_beginning(&world.settings, "kept").unwrap();
    let mut numbers = read(&mut replay).await.remove("a").unwrap();
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2]);
    assert!(read(&mut replay).await.is_empty());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_a_topic_that_is_not_there_says_so() {
    let world = World::start().await;
    let mut replay: Replay<KeptNotes> = Replay::from_beginning(&world.settings, "nothing").unwrap();
    let asked = Instant::now();
    let error = replay.up_to_now(|_| ()).await.unwrap_err().to_string();
    assert!(error.contains("there is no topic"), "{error}");
    // That does not pass: nobody waits for it.
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_waits_for_a_partition_that_has_no_leader_yet() {
    let world = World::with_own_broker().await;
    let Some(broker) = world.kafka.in_memory() else { return world.stop().await };
    let topic = world.settings.topic("kept");
    world.send("kept", Some(2), vec![kept("a", 1)]).await;
    broker.set_leader(&topic, 2, false).unwrap();
    let mut replay = Replay::from_beginning(&world.settings, "kept").unwrap();
    let give_back = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        broker.set_leader(&topic, 2, true).unwrap();
    };
    let (read, ()) = tokio::join!(read(&mut replay), give_back);
    assert_eq!(read["a"], [1]);
    world.stop().await;
}

/// Has the beginning of partition 0 of `kept` forgotten: as Kafka does when retention is over.
async fn lose_the_beginning(world: &World) {
    let large = |number| kept(&"x".repeat(450_000), number);
    world.send("kept", Some(0), (0..8).map(large).collect()).await;
    if world.kafka.is_in_memory() {
        // It keeps 5 MiB.
        return;
    }
    let admin: AdminClient<DefaultClientContext> = world.wire().create().unwrap();
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset(&world.settings.topic("kept"), 0, Offset::Offset(3)).unwrap();
    admin.delete_records(&offsets, &AdminOptions::new()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_a_topic_that_has_lost_its_beginning_says_so() {
    let world = World::start().await;
    lose_the_beginning(&world).await;
    let mut replay = Replay::<KeptNotes>::from_beginning(&world.settings, "kept").unwrap();
    let error = replay.up_to_now(|_| {}).await.unwrap_err().to_string();
    assert!(error.contains("what was said before that is gone"), "{error}");
    world.stop().await;
}
