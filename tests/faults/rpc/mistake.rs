//! A mistake on purpose: a client that gives every try the whole deadline. There is no time for a second one, and an instance that takes
//! long is the end of it, however well the others are.

use anyhow::{Context as _, ensure};
use domain::UserId;
use lab::styles::Features;
use lab::{Api, Service};
use reqwest::StatusCode;
use tokio::task::JoinSet;

use super::impostor::{How, Impostor, Spoils};
use crate::harness::{Outcome, Stage, Suite, cases};

/// So many at the same time that each instance is asked for some of them.
const ORDERS: usize = 8;

pub fn register(suite: &mut Suite) {
    cases!(
        suite,
        "mistakes",
        where Features::has_rpcs,
        [
            // An attempt may take four fifths of it: more than a client waits, so that no recovery comes before.
            #[settings(&[("RECOVERY_AFTER_MS", "10000")])]
            a_client_that_gives_every_try_the_whole_deadline_has_no_second_one,
        ]
    );
}

async fn a_client_that_gives_every_try_the_whole_deadline_has_no_second_one(stage: &mut Stage) -> Outcome {
    // An instance that answers pings, and nothing else.
    let sound = stage.deployment.listens_at(Service::Billing);
    let slow = Impostor::before(sound, 0).await?;
    slow.now(Some(Spoils { method: "Withdraw", heard: false, how: How::TakesNoBytes })).await?;
    stage.deployment.lead_to(Service::Billing, &[slow.address, sound]);
    let user = stage.api.create_user_with(1_000).await?;

    stage.deployment.arm(Service::Order, "mistake::none", "return").await?;
    let heard = orders(&stage.api, user).await?;
    ensure!(heard.iter().all(|status| *status == StatusCode::CREATED), "without the mistake: {heard:?}");

    stage.deployment.arm(Service::Order, "mistake::whole_deadline", "return").await?;
    let heard = orders(&stage.api, user).await?;
    ensure!(heard.iter().any(|status| *status != StatusCode::CREATED), "with the mistake: {heard:?}");
    slow.now(None).await
}

/// What clients are told who order at the same time.
async fn orders(api: &Api, user: UserId) -> anyhow::Result<Vec<StatusCode>> {
    let mut clients = JoinSet::new();
    for _ in 0..ORDERS {
        let api = api.clone();
        clients.spawn(async move { Ok(api.order(user, 1, &[("prefer", "wait=4")]).await?.status) });
    }
    let heard: anyhow::Result<_> = clients.join_all().await.into_iter().collect();
    heard.context("an order is answered")
}
