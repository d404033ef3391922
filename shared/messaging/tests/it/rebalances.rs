//! Members that come and go while others are at work, or while they try again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::notebook::{Fault, Orders};
use crate::wire::Raw;
use crate::world::{World, eventually, numbers_of};

/// Keys enough for every partition to have some.
const KEYS: i64 = 16;

/// `count` notes from `first` on, the next for the next key.
fn spread(first: i64, count: i64) -> Vec<Raw> {
    (first..first + count).map(|number| Raw::note(&format!("key-{}", number % KEYS), number)).collect()
}

/// Asserts that the notes below `count` had their effects in order per key, each once.
fn assert_in_order(effects: &[(String, i64)], count: i64) {
    assert_eq!(i64::try_from(effects.len()).unwrap(), count);
    for key in 0..KEYS {
        let numbers = numbers_of(effects, &format!("key-{key}"));
        assert!(numbers.iter().copied().eq((key..count).step_by(16)), "key-{key}: {numbers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_joins_and_leaves_in_the_middle_of_slow_batches_changes_nothing() {
    let world = World::start().await;
    let orders = Arc::new(Orders::default());
    orders.each_takes_ms.store(10, Ordering::SeqCst);
    let first = world.member("one", &orders);
    world.send("notes", None, spread(0, 400)).await;
    eventually("it is at work", async || world.effects_by("one").await > 0).await;

    let joined = Instant::now();
    let second = world.member("two", &orders);
    let mut sent = 400;
    eventually("the second has its share", async || {
        world.send("notes", None, spread(sent, 16)).await;
        sent += 16;
        world.effects_by("two").await > 0
    })
    .await;
    println!("a member that joined a busy one had its first effect after {:.1?}", joined.elapsed());
    world.send("notes", None, spread(sent, 160)).await;
    sent += 160;
    let left = Instant::now();
    second.stop().await;
    world.send("notes", None, spread(sent, 16)).await;
    sent += 16;
    eventually("all is done", async || i64::try_from(world.effects().await.len()).unwrap() >= sent).await;
    println!("what a member left was done after {:.1?}", left.elapsed());
    assert_in_order(&world.effects().await, sent);
    first.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_go_and_come_back_around_a_failure_are_read_on() {
    let world = World::start().await;
    let orders = Arc::new(Orders::default());
    // Every note of the first member fails for now.
    for number in 0..64 {
        orders.set(number, Fault::Transient);
    }
    let first = world.member("one", &orders);
    world.send("notes", None, spread(0, 64)).await;
    eventually("the first tries again", async || orders.refused() > 2).await;

    // The second gets its share although the first is not done: that one goes on polling.
    let healthy = Arc::new(Orders::default());
    let joined = Instant::now();
    let second = world.member("two", &healthy);
    eventually("the second works", async || world.effects_by("two").await > 0).await;
    println!("a member that joined one in trouble had its first effect after {:.1?}", joined.elapsed());
    orders.clear();
    let effects = world.until_effects(64).await;
    assert_in_order(&effects, 64);

    // What the first had paused when it lost it comes back.
    second.stop().await;
    world.send("notes", None, spread(64, 64)).await;
    let left = Instant::now();
    assert_in_order(&world.until_effects(128).await, 128);
    println!("what a member left was done after {:.1?}", left.elapsed());
    first.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_gone_to_another_member_is_not_tried_again_here() {
    let world = World::start().await;
    let orders = Arc::new(Orders::default());
    for number in 0..64 {
        orders.set(number, Fault::Transient);
    }
    // Without an inbox, so that what both handle has two effects.
    let first = world.forgetful_member("one", &orders);
    world.send("notes", None, spread(0, 64)).await;
    eventually("the first tries again", async || orders.refused() > 2).await;
    let second = world.forgetful_member("two", &Arc::default());
    eventually("the second works", async || world.effects_by("two").await > 0).await;
    let refused = orders.refused();
    eventually("the first knows", async || orders.refused() > refused + 2).await;
    orders.clear();
    assert_in_order(&world.until_effects(64).await, 64);
    first.stop().await;
    second.stop().await;
    assert_eq!(world.effects().await.len(), 64);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_come_while_a_member_tries_again_wait_with_the_others() {
    let world = World::start().await;
    let (in_trouble, healthy) = (Arc::new(Orders::default()), Arc::new(Orders::default()));
    let first = world.member("one", &in_trouble);
    let second = world.member("two", &healthy);
    let mut sent = 0;
    eventually("both work", async || {
        world.send("notes", None, spread(sent, 16)).await;
        sent += 16;
        world.effects_by("one").await > 0 && world.effects_by("two").await > 0
    })
    .await;
    world.until_effects(usize::try_from(sent).unwrap()).await;

    for number in sent..sent + 200 {
        in_trouble.set(number, Fault::Transient);
    }
    world.send("notes", None, spread(sent, 48)).await;
    sent += 48;
    eventually("the first tries again", async || in_trouble.refused() > 0).await;
    second.stop().await;
    world.send("notes", None, spread(sent, 48)).await;
    sent += 48;
    // The second's partitions have come by then: their messages are refused as well.
    let refused = in_trouble.refused();
    eventually("it goes on trying", async || in_trouble.refused() > refused + 3).await;
    in_trouble.clear();
    assert_in_order(&world.until_effects(usize::try_from(sent).unwrap()).await, sent);
    first.stop().await;
    world.stop().await;
}
