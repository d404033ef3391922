//! The consumer while nothing is away: effects, repeats, order.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::sync::OnceCell;

use crate::notebook::{Orders, note};
use crate::outbox::say;
use crate::wire::{Raw, envelope, header};
use crate::world::{Worker, World, eventually, numbers_of};

#[tokio::test(flavor = "multi_thread")]
async fn notes_have_their_effect_in_order_per_key() {
    let world = World::start().await;
    let keys = ["a", "b", "c", "d", "e"];
    let all = (0..1000).zip(keys.iter().cycle()).map(|(number, key)| Raw::note(key, number)).collect();
    world.send("notes", None, all).await;
    let reader = world.member("one", &Arc::default());
    let effects = world.until_effects(1000).await;
    for (first, key) in (0..).zip(keys) {
        assert!(numbers_of(&effects, key).into_iter().eq((first..1000).step_by(5)), "{key}");
    }
    reader.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_handled_together_up_to_a_bound() {
    let world = World::start().await;
    let orders = Arc::new(Orders::default());
    world.send("notes", None, (0..1000).map(|number| Raw::note("a", number)).collect()).await;
    let reader = world.member("one", &orders);
    world.until_effects(1000).await;
    let batch_max = orders.batch_max.load(Ordering::SeqCst);
    assert!((2..=200).contains(&batch_max), "{batch_max}");
    reader.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_published_twice_has_its_effect_once() {
    let world = World::start().await;
    let metrics = metrics().await;
    let metadata = envelope("Noted");
    let twice = || Raw::note("a", 1).with(&metadata);
    // In one batch, since nobody reads yet.
    world.send("notes", None, vec![twice(), Raw::note("a", 2), twice()]).await;
    let reader = world.member("one", &Arc::default());
    world.until_effects(2).await;
    // In another.
    world.send("notes", None, vec![twice(), Raw::note("a", 3)]).await;
    assert_eq!(numbers_of(&world.until_effects(3).await, "a"), [1, 2, 3]);
    reader.stop().await;

    // And to another member of the group.
    world.send("notes", None, vec![twice(), Raw::note("a", 4)]).await;
    let reader = world.member("two", &Arc::default());
    assert_eq!(numbers_of(&world.until_effects(4).await, "a"), [1, 2, 3, 4]);
    assert!(metrics.render().contains("messaging_duplicates_skipped_total{consumer=\"reader\"}"));
    reader.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_without_an_inbox_gets_what_comes_again_in_another_batch() {
    let world = World::start().await;
    let metadata = envelope("Noted");
    let twice = || Raw::note("a", 1).with(&metadata);
    let reader = world.forgetful_member("one", &Arc::default());
    world.send("notes", None, vec![twice()]).await;
    world.until_effects(1).await;
    world.send("notes", None, vec![twice(), Raw::note("a", 2)]).await;
    assert_eq!(numbers_of(&world.until_effects(3).await, "a"), [1, 1, 2]);
    let remembered: i64 =
        sqlx::query_scalar("select count(*) from inbox").fetch_one(&world.pool).await.unwrap();
    assert_eq!(remembered, 0);
    reader.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_handler_says_is_published_with_what_caused_it() {
    let world = World::start().await;
    let orders = Arc::new(Orders::default());
    orders.answer.store(true, Ordering::SeqCst);
    let workers = [world.member("one", &orders), Worker::relay(world.outbox())];
    let request = envelope("Noted");
    // Its second coming is not answered.
    world.send("notes", None, vec![Raw::note("a", 7).with(&request), Raw::note("a", 7).with(&request)]).await;
    world.until_effects(1).await;
    say(&world.outbox(), vec![note("a", 8)]).await;
    world.until_effects(2).await;
    for worker in workers {
        worker.stop().await;
    }
    // Nobody may be left to say what the last effect says.
    let relay = Worker::relay(world.outbox());
    world.until_outbox_is_empty().await;
    relay.stop().await;

    let answers = world.everything_in(&world.settings.topic("answers")).await;
    assert_eq!(answers.len(), 2);
    assert_eq!(header(&answers[0], "ce_causationid"), Some(request.id));
    assert_eq!(header(&answers[0], "ce_correlationid"), Some(request.correlation_id.to_string()));
    assert_eq!(header(&answers[0], "ce_aggregateversion").as_deref(), Some("7"));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inbox_forgets_what_is_older_than_any_topic_however_much_that_is() {
    let world = World::start().await;
    for (consumer, days, count) in [("reader", 15, 12_000), ("reader", 13, 10), ("another", 15, 10)] {
        let remember = "insert into inbox
                        select $1, gen_random_uuid(), now() - $2 * interval '1 day' from generate_series(1, $3)";
        sqlx::query(remember).bind(consumer).bind(days).bind(count).execute(&world.pool).await.unwrap();
    }
    let reader = world.member("one", &Arc::default());
    eventually("the old ones are forgotten", async || {
        let left = sqlx::query_scalar("select count(*) from inbox").fetch_one(&world.pool);
        let left: i64 = left.await.unwrap();
        left == 20
    })
    .await;
    reader.stop().await;
    world.stop().await;
}

/// The metrics of this process, all tests together.
pub async fn metrics() -> &'static PrometheusHandle {
    static METRICS: OnceCell<PrometheusHandle> = OnceCell::const_new();
    METRICS.get_or_init(async || PrometheusBuilder::new().install_recorder().unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_types_are_skipped_and_counted_and_those_of_others_are_skipped() {
    let world = World::start().await;
    let metrics = metrics().await;
    let messages = vec![
        Raw::note("a", 1),
        Raw::of("Shouted", "a", "{}"),
        Raw::of("Shouted", "a", "not even JSON"),
        Raw::of("Whispered", "a", "{}"),
        Raw::of("Whispered", "a", "nor is this looked at"),
        Raw::note("a", 2),
    ];
    world.send("notes", None, messages).await;
    let reader = world.member("one", &Arc::default());
    assert_eq!(numbers_of(&world.until_effects(2).await, "a"), [1, 2]);
    let topic = world.settings.topic("notes");
    let counted = format!("messaging_unknown_types_total{{topic=\"{topic}\"}} 2");
    eventually("they are counted", async || metrics.render().contains(&counted)).await;
    reader.stop().await;
    let dead = world.everything_in(&world.settings.dead_letter_topic("notes", "reader")).await;
    assert!(dead.is_empty(), "{dead:?}");
    world.stop().await;
}
