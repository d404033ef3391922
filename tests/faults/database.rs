//! PostgreSQL going away under running services, on a server of its own.

use std::time::Duration;

use anyhow::ensure;
use lab::{Service, eventually};
use reqwest::StatusCode;
use sandbox::Postgres;

use crate::harness::{Outcome, Stage, Suite};

const SOON: Duration = Duration::from_secs(30);

pub fn register(suite: &mut Suite) {
    suite.on_own_postgres(
        "database",
        "a_database_that_crashes_and_comes_back_loses_nothing",
        a_database_that_crashes_and_comes_back_loses_nothing,
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
        let refuses = stage.style.features.refuses_orders_while_billing_is_away;
        let expected = if refuses { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::ACCEPTED };
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
