//! Topics that get more partitions while everything runs, as operators give them. Only a real broker can.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::ensure;
use domain::{EventId, UserId};
use lab::Api;
use reqwest::StatusCode;
use sandbox::Kafka;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::booking::EVENT;
use crate::harness::{Outcome, Stage, Suite};
use crate::wire::Wire;

/// To how many partitions each grows, from 3.
const GROWN: usize = 12;
/// When everybody knows the new partitions: clients ask every 2 s, and then a group shares them out.
const SETTLED_AFTER: Duration = Duration::from_secs(12);
/// How long orders come in after that.
const WATCHED: Duration = Duration::from_secs(8);
/// What an order takes then at most, on a machine that is busy with other cases. One that meets a partition that nobody reads takes
/// its client's whole wait, 30 s.
const NORMAL_MAX: Duration = Duration::from_secs(10);

pub fn register(suite: &mut Suite) {
    suite.on_own_broker(
        "growth",
        "topics_that_grow_while_orders_come_in_delay_them_for_seconds_and_lose_none",
        topics_that_grow_while_orders_come_in_delay_them_for_seconds_and_lose_none,
    );
}

/// What became of an order.
struct Answered {
    asked: Instant,
    took: Duration,
    status: StatusCode,
}

async fn topics_that_grow_while_orders_come_in_delay_them_for_seconds_and_lose_none(
    stage: &mut Stage,
    kafka: &Kafka,
) -> Outcome {
    if kafka.is_in_memory() {
        return Ok(());
    }
    // Users enough for every partition to have some.
    let mut users = Vec::new();
    for _ in 0..24 {
        users.push(stage.api.create_user_with(10_000).await?);
    }
    let books = stage.style.features.has_bookings;
    if books {
        stage.api.set_capacity(EVENT, 1_000_000).await?;
    }
    let enough = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for (number, user) in users.into_iter().enumerate() {
        // A command may go to a partition that is new, and its reply to one that is not.
        let event = (books && number % 2 == 0).then_some(EVENT);
        clients.spawn(order_until(stage.api.clone(), user, event, Arc::clone(&enough)));
    }
    let wire = Wire::of(stage)?;
    let topology = (stage.style.topology)();
    let topics = topology.kept.iter().chain(&topology.passing);
    let grown: Vec<_> = topics.map(|topic| (wire.topic(topic), GROWN)).collect();
    ensure!(kafka.grow_topics(&grown).await?);
    let settled = Instant::now() + SETTLED_AFTER;
    sleep(SETTLED_AFTER + WATCHED).await;
    enough.store(true, Ordering::Relaxed);

    let (mut before, mut accepted, mut after) = (0, 0, 0);
    while let Some(answers) = clients.join_next().await.transpose()? {
        for Answered { asked, took, status } in answers? {
            if asked < settled {
                before += 1;
                accepted += usize::from(status == StatusCode::ACCEPTED);
                continue;
            }
            ensure!(status == StatusCode::CREATED && took < NORMAL_MAX, "{status} after {took:.1?}");
            after += 1;
        }
    }
    println!(
        "{accepted} of {before} orders had to be asked for again while topics grew, none of {after} later"
    );
    ensure!(after > 100, "only {after} orders came in afterwards");
    Ok(())
}

/// Orders for `user`, one after the other, with a ticket if there is an event.
async fn order_until(
    api: Api,
    user: UserId,
    event: Option<EventId>,
    enough: Arc<AtomicBool>,
) -> anyhow::Result<Vec<Answered>> {
    let mut answers = Vec::new();
    while !enough.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let reply = match event {
            Some(event) => api.book(user, 1, event, &[]).await?,
            None => api.order(user, 1, &[]).await?,
        };
        ensure!([StatusCode::CREATED, StatusCode::ACCEPTED].contains(&reply.status), "{reply:?}");
        answers.push(Answered { asked, took: asked.elapsed(), status: reply.status });
        sleep(Duration::from_millis(50)).await;
    }
    Ok(answers)
}
