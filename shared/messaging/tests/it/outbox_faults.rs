//! Outbox and relay when brokers, database or the other replica are away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use messaging::Cause;
use metrics_exporter_prometheus::PrometheusBuilder;
use sandbox::Postgres;
use sqlx::Connection as _;
use tokio::time::interval;
use uuid::Uuid;

use crate::notebook::note;
use crate::outbox::{lock_holders, say};
use crate::wire::notes;
use crate::world::{Worker, World, eventually};

/// Asserts that every number below `count` was published under key `a`, first in order; what came again does not count.
pub async fn assert_published_in_order(world: &World, count: i64) {
    let published = notes(&world.everything_in(&world.settings.topic("notes")).await);
    let mut next = 0;
    for note in &published {
        assert!(note.number <= next, "{} came before {next}", note.number);
        next = next.max(note.number + 1);
    }
    assert_eq!(next, count);
    println!("{} of {count} messages were published again", i64::try_from(published.len()).unwrap() - count);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_connection_with_the_lock_is_cut_the_other_replica_takes_over_in_order() {
    let world = World::start().await;
    let outboxes = [world.outbox(), world.outbox()];
    let relays = outboxes.clone().map(Worker::relay);
    let done = Arc::new(AtomicBool::new(false));
    let saying = tokio::spawn({
        let (done, outboxes) = (Arc::clone(&done), outboxes.clone());
        async move {
            let mut number = 0;
            // A pace at which the in-memory broker, which keeps 5 MiB, still has the first when the last is published.
            let mut pace = interval(Duration::from_millis(20));
            while !done.load(Ordering::SeqCst) {
                pace.tick().await;
                // One at a time: the order of a key's messages is the order of its commits.
                let messages = (number..number + 20).map(|number| note("a", number)).collect();
                say(&outboxes[usize::try_from(number / 20 % 2).unwrap()], messages).await;
                number += 20;
            }
            number
        }
    });
    for _ in 0..5 {
        eventually("one has the lock", async || lock_holders(&world).await.len() == 1).await;
        let holder = lock_holders(&world).await[0];
        let cut: bool = sqlx::query_scalar("select pg_terminate_backend($1)")
            .bind(holder)
            .fetch_one(&world.pool)
            .await
            .unwrap();
        assert!(cut);
        eventually("another has the lock", async || {
            lock_holders(&world).await.first().is_some_and(|pid| *pid != holder)
        })
        .await;
    }
    done.store(true, Ordering::SeqCst);
    let count = saying.await.unwrap();
    world.until_outbox_is_empty().await;
    for relay in relays {
        relay.stop().await;
    }
    assert_published_in_order(&world, count).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_is_cut_off_does_not_stop_the_relay() {
    let world = World::start().await;
    let outbox = world.outbox();
    let relay = Worker::relay(outbox.clone());
    eventually("it has the lock", async || lock_holders(&world).await.len() == 1).await;
    for number in 0..3 {
        let cut: i64 = sqlx::query_scalar(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity
             where datname = current_database() and query like 'LISTEN%'",
        )
        .fetch_one(&world.pool)
        .await
        .unwrap();
        // The last may not be back yet; then this one is said while nobody listens.
        assert!(cut <= 1);
        let mut conn = outbox.pool().acquire().await.unwrap();
        let mut tx = conn.begin().await.unwrap();
        let cause = Cause::request(Uuid::now_v7());
        outbox.append(&mut tx, &cause, vec![note("a", number)]).await.unwrap();
        tx.commit().await.unwrap();
        // Nobody wakes it: another replica's notification is lost like this.
        world.until_outbox_is_empty().await;
    }
    relay.stop().await;
    assert_published_in_order(&world, 3).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_for_a_while_loses_and_reorders_nothing() {
    let world = World::with_own_broker().await;
    let outbox = world.outbox();
    let relay = Worker::relay(outbox.clone());
    say(&outbox, (0..100).map(|number| note("a", number)).collect()).await;
    world.until_outbox_is_empty().await;

    let going_down = tokio::spawn({
        let kafka = Arc::clone(&world.kafka);
        async move { kafka.down().await.unwrap() }
    });
    for number in 100..300 {
        say(&outbox, vec![note("a", number)]).await;
    }
    going_down.await.unwrap();
    say(&outbox, (300..1000).map(|number| note("a", number)).collect()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(world.waiting().await >= 700, "nobody took them");
    world.kafka.up().await.unwrap();
    world.until_outbox_is_empty().await;
    relay.stop().await;
    assert_published_in_order(&world, 1000).await;
    world.stop().await;
}

#[tokio::test]
async fn a_relay_that_has_lost_its_lock_does_not_wait_for_brokers_and_tells_what_is_waiting() {
    let world = World::with_own_broker().await;
    // Of this test's thread alone: relays of other tests tell of their outboxes by the same name.
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let outbox = world.outbox();
    world.kafka.down().await.unwrap();
    let relay = Worker::relay(outbox.clone());
    say(&outbox, (0..4711).map(|number| note("a", number)).collect()).await;
    eventually("it has the lock", async || lock_holders(&world).await.len() == 1).await;
    let holder = lock_holders(&world).await[0];
    // It waits for acknowledgements by then, for two minutes if need be.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let cut = sqlx::query("select pg_terminate_backend($1)").bind(holder);
    cut.execute(&world.pool).await.unwrap();
    eventually("it has the lock again", async || {
        lock_holders(&world).await.first().is_some_and(|pid| *pid != holder)
    })
    .await;
    eventually("it tells what is waiting", async || {
        metrics.render().contains("messaging_outbox_messages 4711")
    })
    .await;
    world.kafka.up().await.unwrap();
    world.until_outbox_is_empty().await;
    relay.stop().await;
    assert_published_in_order(&world, 4711).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_kafka_refuses_for_good_holds_up_those_behind_it_and_nothing_is_said_again_and_again()
{
    let world = World::start().await;
    let outbox = world.outbox();
    say(&outbox, (0..20).map(|number| note("a", number)).collect()).await;
    // Larger than the producer may send; `append` would not have let it in.
    let spoil = "with tenth as (select id, payload from outbox order by id offset 10 limit 1)
                 update outbox set payload = repeat('x', 2000000) from tenth where outbox.id = tenth.id
                 returning outbox.id, tenth.payload";
    let (id, payload): (i64, String) = sqlx::query_as(spoil).fetch_one(&world.pool).await.unwrap();
    let relay = Worker::relay(outbox);
    eventually("those before it are published", async || world.waiting().await == 10).await;

    let topic = world.settings.topic("notes");
    let said = world.count_in(&topic).await;
    // Time for many tries.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((world.count_in(&topic).await, world.waiting().await), (said, 10));

    let mend = sqlx::query("update outbox set payload = $2 where id = $1").bind(id).bind(payload);
    mend.execute(&world.pool).await.unwrap();
    world.until_outbox_is_empty().await;
    relay.stop().await;
    assert_published_in_order(&world, 20).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_stops_in_seconds_while_brokers_are_away() {
    let world = World::with_own_broker().await;
    let outbox = world.outbox();
    let relay = Worker::relay(outbox.clone());
    say(&outbox, vec![note("a", 0)]).await;
    world.until_outbox_is_empty().await;
    world.kafka.down().await.unwrap();
    say(&outbox, vec![note("a", 1)]).await;
    // It is waiting for the acknowledgement by now, or will soon be.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let took = relay.stop().await;
    println!("a relay without brokers stopped after {took:.1?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(world.waiting().await, 1);

    world.kafka.up().await.unwrap();
    let relay = Worker::relay(outbox);
    world.until_outbox_is_empty().await;
    relay.stop().await;
    assert_published_in_order(&world, 2).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_crashes_is_found_again_and_nothing_that_was_committed_is_lost() {
    let mut postgres = Postgres::start_private().await.unwrap();
    let world = World::with_own_database(&postgres).await;
    let outbox = world.outbox();
    let relay = Worker::relay(outbox.clone());
    say(&outbox, (0..100).map(|number| note("a", number)).collect()).await;
    postgres.kill().await.unwrap();
    postgres.restart().await.unwrap();
    // A connection of the pool may be one from before.
    eventually("the database is back", async || sqlx::query("select 1").execute(&world.pool).await.is_ok())
        .await;
    say(&world.outbox(), (100..200).map(|number| note("a", number)).collect()).await;
    world.until_outbox_is_empty().await;
    relay.stop().await;
    assert_published_in_order(&world, 200).await;
    world.stop().await;
    postgres.stop().await.unwrap();
}
