//! Which orders recovery takes up, in which order, and what it does when a step fails.

use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::Settlement;
use tokio_util::sync::CancellationToken;

use super::world::{Scripted, Trouble, World, eventually, settings};

#[tokio::test]
async fn what_is_due_is_finished_and_struck_off_the_list() {
    let world = World::start().await;
    let unfinished = world.unfinished(0);
    let order = world.listed(&unfinished).await;
    let flow = Scripted::on(&unfinished);
    let stop = flow.recover(&unfinished);
    eventually("the list is empty", async || world.list().await.is_empty().then_some(())).await;
    assert_eq!(*flow.decided.lock().unwrap(), [order.id]);
    assert_eq!(*flow.notified.lock().unwrap(), [order.id]);
    stop.cancel();
    world.stop().await;
}

#[tokio::test]
async fn what_is_not_due_yet_is_left_to_who_is_at_it() {
    let world = World::start().await;
    let young = world.listed(&world.unfinished(3_600_000)).await;
    let unfinished = world.unfinished(0);
    let due = world.listed(&unfinished).await;
    let (young_due_s, attempts) = world.list().await[&young.id];
    assert!((3_500.0..=3_600.0).contains(&young_due_s) && attempts == 0, "{young_due_s} {attempts}");
    let flow = Scripted::on(&unfinished);
    let stop = flow.recover(&unfinished);
    eventually("the due one is gone", async || (world.list().await.len() == 1).then_some(())).await;
    assert_eq!(*flow.decided.lock().unwrap(), [due.id]);
    assert!(world.list().await.contains_key(&young.id));
    stop.cancel();
    world.stop().await;
}

#[tokio::test]
async fn pending_orders_come_before_those_that_only_lack_their_email() {
    let world = World::start().await;
    let unfinished = world.unfinished(0);
    let paid = world.listed(&unfinished).await;
    world.settle(&paid, Settlement::Paid).await;
    let pending = world.listed(&unfinished).await;
    let flow = Scripted::on(&unfinished);
    let stop = flow.recover(&unfinished);
    eventually("both are done", async || world.list().await.is_empty().then_some(())).await;
    assert_eq!(*flow.notified.lock().unwrap(), [pending.id, paid.id]);
    stop.cancel();
    world.stop().await;
}

#[tokio::test]
async fn an_order_that_cannot_be_finished_comes_due_again_later_and_does_not_stop_the_others() {
    let world = World::start().await;
    let unfinished = world.unfinished(0);
    let bad = world.listed(&unfinished).await;
    let good = world.listed(&unfinished).await;
    let lease = world.unfinished(3_600_000);
    let flow = Scripted::on(&lease);
    flow.decide.lock().unwrap().insert(bad.id, Trouble::ThisOrder);
    let stop = flow.recover(&lease);
    eventually("the good one is done", async || (!world.list().await.contains_key(&good.id)).then_some(()))
        .await;
    let (due_s, attempts) = world.list().await[&bad.id];
    assert!((3_500.0..=7_200.0).contains(&due_s), "due in {due_s} s");
    assert_eq!(attempts, 1);
    assert_eq!(*flow.decided.lock().unwrap(), [bad.id, good.id]);
    stop.cancel();
    world.stop().await;
}

#[tokio::test]
async fn the_lease_of_an_order_that_fails_again_and_again_doubles_once() {
    let world = World::start().await;
    let now = world.unfinished(0);
    let bad = world.listed(&now).await;
    let flow = Scripted::on(&now);
    flow.decide.lock().unwrap().insert(bad.id, Trouble::ThisOrder);
    let stop = flow.recover(&now);
    eventually("a few tries", async || (world.list().await[&bad.id].1 >= 3).then_some(())).await;
    stop.cancel();
    eventually("it rests", async || {
        let before = world.list().await[&bad.id].1;
        tokio::task::yield_now().await;
        (world.list().await[&bad.id].1 == before).then_some(())
    })
    .await;
    let hour = world.unfinished(3_600_000);
    let stop = Scripted { decide: flow.decide.clone(), ..Scripted::on(&hour) }.recover(&hour);
    let due_s = eventually("the next try", async || {
        let (due_s, _) = world.list().await[&bad.id];
        (due_s > 100.0).then_some(due_s)
    })
    .await;
    assert!((7_100.0..=14_400.0).contains(&due_s), "due in {due_s} s");
    stop.cancel();
    world.stop().await;
}

#[tokio::test]
async fn a_peer_that_is_away_ends_the_round_and_the_next_one_tries_again() {
    let world = World::start().await;
    let unfinished = world.unfinished(0);
    let orders = [world.listed(&unfinished).await, world.listed(&unfinished).await];
    let hour = world.unfinished(3_600_000);
    let flow = Scripted::on(&hour);
    for order in &orders {
        flow.decide.lock().unwrap().insert(order.id, Trouble::PeerAway);
    }
    let stop = flow.recover(&hour);
    // Each round takes one and gives up. If it went on, both would be taken in the first.
    eventually("two rounds", async || (flow.decided.lock().unwrap().len() == 2).then_some(())).await;
    assert!(flow.notified.lock().unwrap().is_empty());
    assert_eq!(world.list().await.len(), 2);
    stop.cancel();
    world.stop().await;
}

#[tokio::test]
async fn an_email_that_fails_holds_up_no_pending_order() {
    let world = World::start().await;
    let unfinished = world.unfinished(0);
    let orders = [world.listed(&unfinished).await, world.listed(&unfinished).await];
    let hour = world.unfinished(3_600_000);
    let flow = Scripted::on(&hour);
    flow.notify.lock().unwrap().insert(orders[0].id, Trouble::PeerAway);
    let stop = flow.recover(&hour);
    eventually("the other one is done", async || (world.list().await.len() == 1).then_some(())).await;
    assert!(world.list().await.contains_key(&orders[0].id), "its email comes due again");
    stop.cancel();
    world.stop().await;
}

/// Each look at the list would read all of it, were there a sort of it, and at a million rows none would end in time.
#[tokio::test]
async fn pending_orders_are_found_behind_a_long_list_of_emails_without_reading_it() {
    let world = World::start().await;
    world.fill_with_orders_that_lack_their_email(100_000).await;
    let unfinished = world.unfinished(0);
    let mut pending = Vec::new();
    for _ in 0..50 {
        pending.push(world.listed(&unfinished).await.id);
    }
    let hour = world.unfinished(3_600_000);
    let flow = Scripted { notification_is_away: true, ..Scripted::on(&hour) };
    let before = world.rows_read(100_000).await;
    let stop = flow.recover(&hour);
    eventually("a round ends at an email", async || (flow.notified.lock().unwrap().len() > 50).then_some(()))
        .await;
    stop.cancel();
    // In the order of the list, but for those that are finished at the same time.
    let mut decided = flow.decided.lock().unwrap()[..50].to_vec();
    decided.sort_unstable();
    assert_eq!(decided, pending);
    world.pool.close();
    let read = world.rows_read(before + 100).await - before;
    assert!(read < 2_000, "{read} rows were read to find 50");
    world.stop().await;
}

/// An email that failed is known to have failed, so that the next pending order need not wait until it was looked at again.
#[tokio::test]
async fn an_order_whose_email_failed_waits_behind_those_that_are_pending() {
    let world = World::start().await;
    let unfinished = world.unfinished(0);
    let paid = world.listed(&unfinished).await;
    world.settle(&paid, Settlement::Paid).await;
    unfinished.lacks_its_email(paid.id);
    let pending = [world.listed(&unfinished).await, world.listed(&unfinished).await];
    let flow = Scripted::on(&unfinished);
    let stop = flow.recover(&unfinished);
    eventually("all are done", async || world.list().await.is_empty().then_some(())).await;
    assert_eq!(flow.notified.lock().unwrap().last(), Some(&paid.id));
    assert_eq!(flow.notified.lock().unwrap()[0], pending[0].id);
    stop.cancel();
    world.stop().await;
}

/// The first finds out whether anybody answers; then they are finished together.
#[tokio::test]
async fn a_list_is_worked_off_several_orders_at_a_time() {
    let world = World::start().await;
    let unfinished = world.unfinished(0);
    for _ in 0..30 {
        world.listed(&unfinished).await;
    }
    let hour = world.unfinished(3_600_000);
    let flow = Scripted { each_takes: Duration::from_millis(20), ..Scripted::on(&hour) };
    let stop = flow.recover(&hour);
    eventually("all are done", async || world.list().await.is_empty().then_some(())).await;
    assert_eq!(flow.most_at_once.load(Ordering::SeqCst), 8, "as many as may be");
    stop.cancel();
    world.stop().await;
}

#[tokio::test]
async fn two_instances_never_take_the_same_order() {
    let world = World::start().await;
    let unfinished = world.unfinished(0);
    for _ in 0..30 {
        world.listed(&unfinished).await;
    }
    let hours = [world.unfinished(3_600_000), world.unfinished(3_600_000)];
    let flows = hours.each_ref().map(Scripted::on);
    let stops = [flows[0].recover(&hours[0]), flows[1].recover(&hours[1])];
    eventually("all are done", async || world.list().await.is_empty().then_some(())).await;
    let mut decided: Vec<_> = flows.iter().flat_map(|flow| flow.decided.lock().unwrap().clone()).collect();
    decided.sort_unstable();
    let taken = decided.len();
    decided.dedup();
    assert_eq!((taken, decided.len()), (30, 30));
    stops.iter().for_each(CancellationToken::cancel);
    world.stop().await;
}

#[tokio::test]
async fn a_service_that_stops_waits_for_what_is_being_finished_and_strikes_it_off() {
    let world = World::start().await;
    let unfinished = world.unfinished(5_000);
    let order = world.listed(&unfinished).await;
    let (release, released) = tokio::sync::oneshot::channel::<()>();
    let (list, id) = (unfinished.clone(), order.id);
    let running = unfinished.spawn(unfinished.attempt(), async move {
        released.await.unwrap();
        list.finished(id);
    });
    let stop = CancellationToken::new();
    let stopping = tokio::spawn(unfinished.finish_running(stop.clone()));
    stop.cancel();
    assert!(!stopping.is_finished() && world.list().await.len() == 1);
    release.send(()).unwrap();
    stopping.await.unwrap().unwrap();
    running.await.unwrap();
    assert!(world.list().await.is_empty());
    world.stop().await;
}

#[test]
fn an_attempt_ends_before_recovery_takes_the_order_up() {
    assert_eq!(settings(5_000).attempt_max(), Duration::from_secs(4));
}
