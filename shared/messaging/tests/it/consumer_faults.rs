//! The consumer when something is away, or when it ends in the wrong moment.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sandbox::Postgres;

use crate::notebook::{Fault, Orders};
use crate::wire::Raw;
use crate::world::{DEADLINE, SESSION, World, eventually, numbers_of};

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_for_now_is_tried_again_in_order_for_longer_than_a_session() {
    let world = World::start().await;
    let orders = Arc::new(Orders::default());
    orders.set(5, Fault::Transient);
    world.send("notes", None, (0..10).map(|number| Raw::note("a", number)).collect()).await;
    let reader = world.member("one", &orders);
    let began = Instant::now();
    eventually("it is tried", async || orders.refused() > 0).await;
    // What comes meanwhile waits behind it.
    world.send("notes", None, (10..20).map(|number| Raw::note("a", number)).collect()).await;
    eventually("it is tried for long", async || began.elapsed() > SESSION + Duration::from_secs(1)).await;
    assert!(world.effects().await.is_empty(), "a batch has all of its effects or none");
    assert!(orders.refused() > 2);
    orders.clear();
    assert!(numbers_of(&world.until_effects(20).await, "a").into_iter().eq(0..20));
    reader.stop().await;
    let dead = world.everything_in(&world.settings.dead_letter_topic("notes", "reader")).await;
    assert!(dead.is_empty(), "{dead:?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_for_now_before_the_transaction_is_tried_again_as_well() {
    let world = World::start().await;
    let orders = Arc::new(Orders::default());
    orders.set(1, Fault::TransientBefore);
    world.send("notes", None, (0..3).map(|number| Raw::note("a", number)).collect()).await;
    let reader = world.member("one", &orders);
    eventually("it is tried again", async || orders.refused() > 2).await;
    assert!(world.effects().await.is_empty());
    orders.clear();
    assert_eq!(numbers_of(&world.until_effects(3).await, "a"), [0, 1, 2]);
    reader.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_for_now_behind_what_fails_for_good_is_tried_again_and_not_put_aside() {
    let world = World::start().await;
    let orders = Arc::new(Orders::default());
    orders.set(2, Fault::Permanent);
    orders.set(4, Fault::Transient);
    world.send("notes", None, (0..6).map(|number| Raw::note("a", number)).collect()).await;
    let reader = world.member("one", &orders);
    eventually("those before it are done", async || world.effects().await.len() == 3).await;
    eventually("it is tried again", async || orders.refused() > 6).await;
    let dead = world.settings.dead_letter_topic("notes", "reader");
    assert!(world.everything_in(&dead).await.is_empty());
    orders.mend(4);
    assert_eq!(numbers_of(&world.until_effects(5).await, "a"), [0, 1, 3, 4, 5]);
    eventually("the other is put aside", async || world.everything_in(&dead).await.len() == 1).await;
    reader.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_stops_has_stored_how_far_it_came_in_every_partition() {
    let world = World::start().await;
    // Without an inbox, so that what is met again shows.
    let first = world.forgetful_member("one", &Arc::default());
    world.send("notes", None, (0..100).map(|number| Raw::note(&number.to_string(), number)).collect()).await;
    world.until_effects(100).await;
    first.stop().await;
    let second = world.forgetful_member("two", &Arc::default());
    world
        .send("notes", None, (100..140).map(|number| Raw::note(&number.to_string(), number)).collect())
        .await;
    world.until_effects(140).await;
    assert_eq!(world.effects_by("two").await, 40);
    second.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_crashes_and_comes_back_changes_nothing() {
    let mut postgres = Postgres::start_private().await.unwrap();
    let world = World::with_own_database(&postgres).await;
    let reader = world.member("one", &Arc::default());
    world.send("notes", None, (0..10).map(|number| Raw::note("a", number)).collect()).await;
    world.until_effects(10).await;
    postgres.kill().await.unwrap();
    world.send("notes", None, (10..300).map(|number| Raw::note("a", number)).collect()).await;
    tokio::time::sleep(SESSION).await;
    postgres.restart().await.unwrap();
    eventually("the database is back", async || sqlx::query("select 1").execute(&world.pool).await.is_ok())
        .await;
    assert!(numbers_of(&world.until_effects(300).await, "a").into_iter().eq(0..300));
    reader.stop().await;
    world.stop().await;
    postgres.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_are_away_for_a_while_change_nothing() {
    let world = World::with_own_broker().await;
    let reader = world.member("one", &Arc::default());
    world.send("notes", None, (0..10).map(|number| Raw::note("a", number)).collect()).await;
    world.until_effects(10).await;
    world.kafka.down().await.unwrap();
    tokio::time::sleep(SESSION).await;
    world.kafka.up().await.unwrap();
    world.send("notes", None, (10..20).map(|number| Raw::note("a", number)).collect()).await;
    let back = Instant::now();
    assert!(numbers_of(&world.until_effects(20).await, "a").into_iter().eq(0..20));
    println!("after the broker's return the consumer went on within {:.1?}", back.elapsed());
    reader.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_stops_in_seconds_while_brokers_are_away() {
    let world = World::with_own_broker().await;
    let reader = world.member("one", &Arc::default());
    world.send("notes", None, vec![Raw::note("a", 0)]).await;
    world.until_effects(1).await;
    world.kafka.down().await.unwrap();
    let took = reader.stop().await;
    println!("a consumer without brokers stopped after {took:.1?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_dies_between_commit_and_offset_leaves_repeats_and_no_second_effects() {
    let world = World::start().await;
    let orders = Arc::new(Orders::default());
    world.send("notes", None, (0..10).map(|number| Raw::note("a", number)).collect()).await;
    orders.die_when_committed.store(true, Ordering::SeqCst);
    let dying = world.member("one", &orders);
    let died = tokio::time::timeout(DEADLINE, dying.task).await.unwrap().unwrap_err();
    assert!(died.is_panic());
    world.until_effects(10).await;

    let survivor = world.member("two", &orders);
    world.send("notes", None, vec![Raw::note("a", 10)]).await;
    assert!(numbers_of(&world.until_effects(11).await, "a").into_iter().eq(0..11));
    assert_eq!(world.effects_by("two").await, 1);
    survivor.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_inbox_the_same_death_shows_that_offsets_are_stored_after_the_commit() {
    let world = World::start().await;
    let orders = Arc::new(Orders::default());
    world.send("notes", None, vec![Raw::note("a", 0)]).await;
    orders.die_when_committed.store(true, Ordering::SeqCst);
    let dying = world.forgetful_member("one", &orders);
    let died = tokio::time::timeout(DEADLINE, dying.task).await.unwrap().unwrap_err();
    assert!(died.is_panic());

    let survivor = world.forgetful_member("two", &orders);
    assert_eq!(numbers_of(&world.until_effects(2).await, "a"), [0, 0]);
    survivor.stop().await;

    // The survivor's offset was stored, and committed when it stopped.
    let third = world.forgetful_member("three", &orders);
    world.send("notes", None, vec![Raw::note("a", 1)]).await;
    assert_eq!(numbers_of(&world.until_effects(3).await, "a"), [0, 0, 1]);
    third.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_is_told_to_stop_while_it_tries_again_stops_at_once_and_leaves_all_to_the_next() {
    let world = World::start().await;
    let orders = Arc::new(Orders::default());
    orders.set(5, Fault::Transient);
    world.send("notes", None, (0..10).map(|number| Raw::note("a", number)).collect()).await;
    let first = world.member("one", &orders);
    eventually("it is tried again and again", async || orders.refused() > 3).await;
    let took = first.stop().await;
    println!("a consumer that was trying again stopped after {took:.1?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(world.effects().await.is_empty());

    orders.clear();
    let second = world.member("two", &orders);
    assert!(numbers_of(&world.until_effects(10).await, "a").into_iter().eq(0..10));
    second.stop().await;
    world.stop().await;
}
