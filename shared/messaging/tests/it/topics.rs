//! Creating topics by the admin protocol, which only a real broker speaks.

use std::collections::HashMap;

use messaging::create_topics;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;

use crate::world::{PARTITIONS, World, eventually, topology};

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_created_once_with_the_partitions_and_the_retention_that_they_need() {
    let world = World::start().await;
    let topics = ["kept", "notes", "answers", "commands"].map(|name| (name, PARTITIONS));
    let dead_letters = ["notes.reader.dlt", "commands.participant.dlt"].map(|name| (name, 1));
    let all = topics.into_iter().chain(dead_letters);
    let expected: HashMap<_, _> =
        all.map(|(name, count)| (name.to_owned(), usize::try_from(count).unwrap())).collect();
    assert_eq!(world.partitions().await, expected);
    if world.kafka.is_in_memory() {
        return world.stop().await;
    }
    // Again, and by two at once.
    let topology = topology();
    let (one, two) =
        tokio::join!(create_topics(&world.settings, &topology), create_topics(&world.settings, &topology));
    assert!(one.unwrap().is_empty() && two.unwrap().is_empty());
    assert_eq!(world.partitions().await, expected);

    let admin: AdminClient<DefaultClientContext> = world.wire().create().unwrap();
    let week = (7 * 24 * 60 * 60 * 1000).to_string();
    for (topic, retention_ms) in [("kept", "-1"), ("notes.reader.dlt", "-1"), ("notes", &*week)] {
        let name = world.settings.topic(topic);
        let described =
            admin.describe_configs([&ResourceSpecifier::Topic(&name)], &AdminOptions::new()).await;
        let described = described.unwrap().remove(0).unwrap();
        let set = described.entry_map()["retention.ms"];
        assert_eq!(set.value.as_deref(), Some(retention_ms), "{topic}");
        // Whatever the brokers' own default is.
        assert!(!set.is_default, "{topic}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_exists_otherwise_is_named_and_left_as_it_is() {
    let mut world = World::start().await;
    if world.kafka.is_in_memory() {
        return world.stop().await;
    }
    let before = world.partitions().await;
    let admin: AdminClient<DefaultClientContext> = world.wire().create().unwrap();
    let kept = world.settings.topic("kept");
    let forgets = AlterConfig::new(ResourceSpecifier::Topic(&kept)).set("retention.ms", "60000");
    admin.alter_configs([&forgets], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    // More partitions than asked for are none of its business: topics may grow.
    world.settings.kafka_partitions = PARTITIONS - 1;
    // Brokers learn of it one after the other.
    eventually("it is named", async || {
        let named = create_topics(&world.settings, &topology()).await.unwrap();
        named == [format!("topic {kept} has retention.ms=60000, not -1")]
    })
    .await;
    world.settings.kafka_partitions = PARTITIONS + 1;
    let named = create_topics(&world.settings, &topology()).await.unwrap();
    let fewer = format!("topic {kept} has {PARTITIONS} partitions, not {}", PARTITIONS + 1);
    assert!(named.contains(&fewer) && named.len() == 5, "{named:?}");
    assert_eq!(world.partitions().await, before);
    world.stop().await;
}
