//! Members of consumer groups that take too long, come, and leave, while bookings are made.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::ensure;
use domain::UserId;
use lab::running::wait_ready;
use lab::{Api, Service, eventually};
use nix::sys::signal::Signal;
use reqwest::StatusCode;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::barrier::Barrier;
use crate::booking::{EVENT, SOON, answered, until_seats};
use crate::harness::{Outcome, Stage, Suite, cases};

/// What a booking takes at most while members come and go. A client that does not hear of its own waits 30 s.
const NORMAL_MAX: Duration = Duration::from_secs(10);
/// How long it takes until a member that is silent has lost its partitions, and others have done what was in them: services leave
/// their group after 60 s.
const LOST_MAX: Duration = Duration::from_secs(100);

pub fn register(suite: &mut Suite) {
    cases!(
        suite,
        "members",
        where |features| features.has_bookings,
        [
            // The deadline is not what this is about.
            #[settings(&[("SAGA_DEADLINE_MS", "300000")])]
            a_command_that_takes_so_long_that_another_member_begins_it_again_is_done_once,
            seats_that_are_being_taken_when_partitions_change_hands_are_taken_once,
            clients_hear_the_end_wherever_they_wait_while_replicas_of_the_orchestrator_come_and_go,
        ]
    );
}

/// The first of two instances is at work on its first commands for longer than `max.poll.interval.ms`.
async fn a_command_that_takes_so_long_that_another_member_begins_it_again_is_done_once(
    stage: &mut Stage,
) -> Outcome {
    const SLOW: [Service; 2] = [Service::Billing, Service::Ticket];
    // Enough for every partition to have some.
    const USERS: i64 = 12;
    let mut users = Vec::new();
    for _ in 0..USERS {
        users.push(stage.api.create_user_with(100).await?);
    }
    stage.api.set_capacity(EVENT, USERS).await?;
    stage.check_at_rest().await?;
    for service in SLOW {
        stage.deployment.arm(service, "messaging::gathered", "1*sleep(72000)").await?;
        stage.deployment.start_replica(service).await?;
    }
    let later = [("prefer", "respond-async")];
    let mut requests = Vec::new();
    for &user in &users {
        let asked =
            [stage.api.book(user, 10, EVENT, &later).await?, stage.api.order(user, 20, &later).await?];
        requests.extend(asked.iter().filter_map(lab::Reply::request_id));
    }
    ensure!(requests.len() == 2 * users.len(), "{requests:?}");
    for request in requests {
        let outcome = stage.api.outcome(request, LOST_MAX).await?;
        ensure!(outcome.body["status"] == "paid", "{outcome:?}");
    }
    // The first ones come to an end, too, and find that all is done.
    for service in SLOW {
        eventually(LOST_MAX, async || {
            let metrics = stage.metrics(service).await?;
            ensure!(metrics.contains("messaging_duplicates_skipped_total"), "{service:?}:\n{metrics}");
            Ok(())
        })
        .await?;
    }
    stage.check_at_rest().await?;
    for user in users {
        ensure!(stage.api.balance(user).await? == 70);
    }
    until_seats(stage, [0, 0, USERS]).await
}

/// Clients that book, each one after the other until it is enough; what is answered late, or not with a ticket, is an error.
struct Clients {
    enough: Arc<AtomicBool>,
    at_work: JoinSet<Outcome>,
}

impl Clients {
    fn begin(api: &Api, users: &[UserId]) -> Self {
        let (enough, mut at_work) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
        for &user in users {
            let (api, enough) = (api.clone(), Arc::clone(&enough));
            at_work.spawn(async move {
                while !enough.load(Ordering::Relaxed) {
                    let asked = Instant::now();
                    answered(&api.book(user, 1, EVENT, &[]).await?, StatusCode::CREATED, None)?;
                    ensure!(asked.elapsed() < NORMAL_MAX, "a booking took {:.1?}", asked.elapsed());
                }
                Ok(())
            });
        }
        Self { enough, at_work }
    }

    async fn end(mut self) -> Outcome {
        self.enough.store(true, Ordering::Relaxed);
        while let Some(done) = self.at_work.join_next().await.transpose()? {
            done?;
        }
        Ok(())
    }
}

/// Users with money for many bookings, and seats for all of them.
async fn buyers(stage: &Stage, count: usize) -> anyhow::Result<Vec<UserId>> {
    stage.api.set_capacity(EVENT, 100_000).await?;
    let mut users = Vec::new();
    for _ in 0..count {
        users.push(stage.api.create_user_with(10_000).await?);
    }
    stage.check_at_rest().await?;
    Ok(users)
}

/// The seats are changed, and nothing is committed, when another member wants a share.
async fn seats_that_are_being_taken_when_partitions_change_hands_are_taken_once(
    stage: &mut Stage,
) -> Outcome {
    let users = buyers(stage, 4).await?;
    stage.deployment.arm(Service::Ticket, "ticket::seats_changed", "3*sleep(700)").await?;
    let clients = Clients::begin(&stage.api, &users);
    let second = stage.deployment.start_replica(Service::Ticket).await?.join("metrics")?;
    let handles = eventually(SOON, async || {
        let metrics = reqwest::get(second.clone()).await?.text().await?;
        ensure!(metrics.contains("messaging_consumed_total{"), "the second ticket service gets no messages");
        Ok(())
    })
    .await;
    clients.end().await?;
    handles
}

/// A replica has clients from its first moment to its last. Who handles a reply, it or the other one, makes no difference to them.
async fn clients_hear_the_end_wherever_they_wait_while_replicas_of_the_orchestrator_come_and_go(
    stage: &mut Stage,
) -> Outcome {
    let users = buyers(stage, 8).await?;
    let (lucky, users) = (users[0], &users[1..]);
    let elsewhere = Clients::begin(&stage.api, users);
    for is_asked_to_stop in [true, false] {
        let (mut replica, url) = stage.deployment.launch_replica(Service::Order)?;
        wait_ready(&url, SOON, || Ok(())).await?;
        let there = stage.api.at(url);
        let clients = Clients::begin(&there, users);
        // Some have been answered there when it leaves.
        for _ in 0..5 {
            answered(&there.book(lucky, 1, EVENT, &[]).await?, StatusCode::CREATED, None)?;
        }
        clients.end().await?;
        if !is_asked_to_stop {
            replica.kill().await?;
            continue;
        }
        let barrier = Barrier::at_account(stage, lucky).await?;
        let last = tokio::spawn(async move { there.book(lucky, 1, EVENT, &[]).await });
        barrier.holds_up(1).await?;
        replica.signal(Signal::SIGTERM)?;
        barrier.lift().await?;
        answered(&last.await??, StatusCode::CREATED, None)?;
        replica.stop().await?;
    }
    elsewhere.end().await?;
    stage.check_at_rest().await
}
