//! PostgreSQL going away under running services, on a server of its own.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use domain::UserId;
use lab::{Api, Service, eventually};
use reqwest::StatusCode;
use sandbox::Postgres;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::harness::{Outcome, Stage, Suite};

const SOON: Duration = Duration::from_secs(30);
/// How long after the new primary is there its address may still lead to the old one, which is its standby by then.
const LATE: Duration = Duration::from_secs(6);
/// How long after the address has moved an order may still fail.
const WHOLE_AFTER: Duration = Duration::from_secs(5);
/// Clients that order all the time.
const CLIENTS: usize = 6;
/// Orders of each client that have to be decided one after the other, after the address has moved.
const IN_A_ROW: usize = 25;

pub fn register(suite: &mut Suite) {
    suite.on_own_postgres(
        "database",
        "a_database_that_crashes_and_comes_back_loses_nothing",
        a_database_that_crashes_and_comes_back_loses_nothing,
    );
    suite.on_postgres_with_standby(
        "database",
        "a_switchover_under_load_loses_nothing_and_is_over_when_its_address_has_moved",
        a_switchover_under_load_loses_nothing_and_is_over_when_its_address_has_moved,
    );
}

async fn a_database_that_crashes_and_comes_back_loses_nothing(
    stage: &mut Stage,
    postgres: &mut Postgres,
) -> Outcome {
    let user = stage.api.create_user_with(1_000).await?;
    ensure!(stage.api.order(user, 100, &[]).await?.status == StatusCode::CREATED);

    postgres.kill().await?;
    for _ in 0..3 {
        let reply = stage.api.order(user, 100, &[("prefer", "wait=1")]).await?;
        let accepts = stage.style.features.requests_are_messages;
        let expected = if accepts { StatusCode::ACCEPTED } else { StatusCode::SERVICE_UNAVAILABLE };
        ensure!(reply.status == expected && reply.header("retry-after").is_some(), "{reply:?}");
        let text = reply.body.to_string().to_lowercase();
        ensure!(!text.contains("postgres") && !text.contains("sqlx") && !text.contains("pool"), "{text}");
    }
    let ready = stage.api_of(Service::Order).get("/ready").await?;
    ensure!(ready.status == StatusCode::SERVICE_UNAVAILABLE && ready.body["status"] == "down", "{ready:?}");

    postgres.restart().await?;
    eventually(SOON, async || {
        let reply = stage.api.order(user, 100, &[]).await?;
        ensure!(reply.status == StatusCode::CREATED, "{reply:?}");
        Ok(())
    })
    .await
}

async fn a_switchover_under_load_loses_nothing_and_is_over_when_its_address_has_moved(
    stage: &mut Stage,
    postgres: &mut Postgres,
) -> Outcome {
    let (tell, moved) = watch::channel(None);
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let user = stage.api.create_user_with(1_000_000).await?;
        ensure!(stage.api.order(user, 1, &[]).await?.status == StatusCode::CREATED);
        clients.spawn(order_until_all_is_well(stage.api.clone(), user, moved.clone()));
    }
    let order = stage.api_of(Service::Order);
    let told = eventually(SOON, async || {
        let ready = order.get("/ready").await?;
        let words = &ready.body["checks"]["database"];
        ensure!(*words == "it takes no writes: it is a standby, or read-only", "{ready:?}");
        ensure!(ready.status == StatusCode::SERVICE_UNAVAILABLE, "{ready:?}");
        Ok(())
    });
    let (switched, told) = tokio::join!(postgres.switch_over(LATE), told);
    switched?;
    told?;
    let moved = Instant::now();
    tell.send_replace(Some(moved));
    let last_failures = timeout(2 * SOON, clients.join_all()).await.context("orders go on failing")?;
    for failed in last_failures {
        let late = failed?.map_or(Duration::ZERO, |asked| asked.saturating_duration_since(moved));
        ensure!(late < WHOLE_AFTER, "an order that was asked for {late:?} after the address moved failed");
    }
    Ok(())
}

/// Orders until the address has `moved` and enough orders in a row were decided. Says when the last one was asked for that
/// was not.
async fn order_until_all_is_well(
    api: Api,
    user: UserId,
    moved: watch::Receiver<Option<Instant>>,
) -> anyhow::Result<Option<Instant>> {
    let (mut in_a_row, mut last_failure) = (0, None);
    while in_a_row < IN_A_ROW {
        let asked = Instant::now();
        let reply = api.order(user, 1, &[("prefer", "wait=2")]).await?;
        let expected = [StatusCode::CREATED, StatusCode::ACCEPTED, StatusCode::SERVICE_UNAVAILABLE];
        ensure!(expected.contains(&reply.status), "{reply:?}");
        if reply.status == StatusCode::CREATED {
            in_a_row += usize::from(moved.borrow().is_some());
        } else {
            (in_a_row, last_failure) = (0, Some(asked));
        }
    }
    Ok(last_failure)
}
