//! Clients that hang up in the middle must cost nothing but their own answer.

use std::time::Duration;

use anyhow::ensure;
use reqwest::StatusCode;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::harness::{Outcome, Stage, Suite, cases};

pub fn register(suite: &mut Suite) {
    cases!(
        suite,
        "hang_ups",
        [
            #[settings(&[("DATABASE_CONNECTIONS", "1")])]
            after_a_hundred_hang_ups_on_a_pool_of_one_it_is_business_as_usual,
        ]
    );
}

/// Drops requests after 0, 0.1, 0.2, ... ms: somewhere in there is every step of every transaction.
async fn after_a_hundred_hang_ups_on_a_pool_of_one_it_is_business_as_usual(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(1_000).await?;
    let mut clients = JoinSet::new();
    for number in 0..100_u64 {
        // A client of its own, so that hanging up closes the connection.
        let (api, patience) =
            (lab::Api::new(stage.deployment.gateway().clone()), Duration::from_micros(number * 100));
        clients.spawn(async move {
            match number % 3 {
                0 => drop(timeout(patience, api.order(user, 1, &[])).await),
                1 => drop(timeout(patience, api.withdraw(user, 1)).await),
                _ => drop(timeout(patience, api.create_user()).await),
            }
        });
    }
    while clients.join_next().await.transpose()?.is_some() {}

    let before = stage.api.balance(user).await?;
    ensure!((900..=1_000).contains(&before), "{before}");
    stage.check_at_rest().await?;
    let before = stage.api.balance(user).await?;
    for _ in 0..10 {
        let reply = stage.api.order(user, 1, &[]).await?;
        ensure!(reply.status == StatusCode::CREATED, "{reply:?}");
    }
    ensure!(stage.api.balance(user).await? == before - 10);
    Ok(())
}
