//! PostgreSQL going away under running services, on a server of its own.

use std::time::Duration;

use anyhow::ensure;
use reqwest::StatusCode;
use sandbox::{Postgres, ScratchDir, Smtp};
use study::client::eventually;
use study::deployment::Ground;
use study::{Api, Checker, Deployment, Options, STYLES, Service, Style};

use crate::harness::{Outcome, Suite, TEST_SETTINGS};

const SOON: Duration = Duration::from_secs(30);

pub fn register(suite: &mut Suite) {
    for style in STYLES {
        let name = format!("{}::database::a_database_that_crashes_and_comes_back_loses_nothing", style.name);
        suite.trial(name, async move || a_database_that_crashes_and_comes_back_loses_nothing(style).await);
    }
}

async fn a_database_that_crashes_and_comes_back_loses_nothing(style: &'static Style) -> Outcome {
    let (mut postgres, directory) = (Postgres::start_private().await?, ScratchDir::create()?);
    let smtp = Smtp::start(&directory.path().join("mail")).await?;
    let ground = Ground {
        postgres: postgres.admin_url().clone(),
        smtp: smtp.url().clone(),
        mailbox: smtp.mailbox().cloned(),
        directory: directory.path().to_owned(),
    };
    let settings = TEST_SETTINGS.map(|(name, value)| (name, value.to_owned())).to_vec();
    let deployment = Deployment::start(style, ground, Options { settings, ..Options::default() }).await?;
    let api = Api::new(deployment.gateway().clone());
    let user = api.create_user_with(1_000).await?;
    ensure!(api.order(user, 100, &[]).await?.status == StatusCode::CREATED);

    postgres.kill().await?;
    for _ in 0..3 {
        let reply = api.order(user, 100, &[("prefer", "wait=1")]).await?;
        ensure!(
            reply.status == StatusCode::SERVICE_UNAVAILABLE && reply.header("retry-after").is_some(),
            "{reply:?}"
        );
        let text = reply.body.to_string().to_lowercase();
        ensure!(!text.contains("postgres") && !text.contains("sqlx") && !text.contains("pool"), "{text}");
    }
    let ready = Api::new(deployment.url(Service::Order).clone()).get("/ready").await?;
    ensure!(ready.status == StatusCode::SERVICE_UNAVAILABLE && ready.body["status"] == "down", "{ready:?}");

    postgres.restart().await?;
    eventually(SOON, async || {
        let reply = api.order(user, 100, &[]).await?;
        ensure!(reply.status == StatusCode::CREATED, "{reply:?}");
        Ok(())
    })
    .await?;
    let violations = Checker::new(&deployment.addresses)?.at_rest(&api.acknowledged(), SOON).await?;
    ensure!(violations.is_empty(), "{violations:?}");
    deployment.stop().await?;
    postgres.stop().await?;
    Ok(directory.remove().await?)
}
