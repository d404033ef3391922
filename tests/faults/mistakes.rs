//! A check that cannot fail proves nothing: each safeguard is switched off on purpose, and the checker must find the damage.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use lab::styles::Features;
use lab::{Invariant, Service};
use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::barrier::Barrier;
use crate::harness::{Outcome, Stage, Suite, broken_cases};
use crate::wire::Wire;

const SOON: Duration = Duration::from_secs(30);
/// How long a system that is broken gets to come to rest: what is wrong then stays wrong.
const REST_MAX: Duration = Duration::from_secs(4);

pub fn register(suite: &mut Suite) {
    broken_cases!(suite, "mistakes", where |_| true, [a_debit_that_reads_before_it_writes_is_found]);
    broken_cases!(
        suite,
        "mistakes",
        where |features| features.requests_are_messages,
        [consumers_that_handle_a_message_twice_are_found]
    );
    broken_cases!(
        suite,
        "mistakes",
        where Features::has_messages,
        [an_effect_that_is_committed_without_its_message_is_found]
    );
    broken_cases!(
        suite,
        "mistakes",
        where |features| features.has_replicas,
        [a_message_that_is_stored_before_its_row_is_locked_is_found]
    );
}

/// Which invariants are violated, once the system has had time to come to rest.
async fn violated(stage: &Stage) -> anyhow::Result<Vec<Invariant>> {
    let found = stage.checker.at_rest(&stage.api.acknowledged(), REST_MAX).await?;
    Ok(found.iter().map(|violation| violation.invariant).collect())
}

async fn a_debit_that_reads_before_it_writes_is_found(stage: &mut Stage) -> Outcome {
    stage.deployment.arm(Service::Billing, "mistake::racy_debit", "return").await?;
    let user = stage.api.create_user_with(100).await?;
    let barrier = Barrier::at_account(stage, user).await?;
    let mut clients = JoinSet::new();
    for _ in 0..2 {
        let api = stage.api.clone();
        clients.spawn(async move { api.withdraw(user, 60).await });
    }
    // Both have read the balance, and neither has written it.
    barrier.holds_up(2).await?;
    barrier.lift().await?;
    while clients.join_next().await.transpose()?.is_some() {}
    let found = violated(stage).await?;
    ensure!(found.contains(&Invariant::Money), "not found, but {found:?}");
    Ok(())
}

/// The inbox, and the natural key that would hide that it is missing.
async fn consumers_that_handle_a_message_twice_are_found(stage: &mut Stage) -> Outcome {
    let points = "mistake::no_inbox=return;mistake::no_request_key";
    stage.deployment.arm(Service::Billing, points, "return").await?;
    let (user, wire) = (stage.api.create_user_with(100).await?, Wire::of(stage)?);
    // Nothing has come twice yet.
    stage.check_at_rest().await?;
    let about_deposits = |message: &&rdkafka::message::OwnedMessage| {
        crate::wire::header(message, "ce_type").as_deref() == Some("DepositRequested")
    };
    let messages = wire.read("billing").await?;
    let deposit = messages.iter().find(about_deposits).context("a deposit was asked for")?;
    wire.publish_again(deposit, None).await?;
    let found = violated_soon(stage).await?;
    ensure!(found.contains(&Invariant::Money), "user {user}: not found, but {found:?}");
    Ok(())
}

/// A message that was published just now has yet to be consumed.
async fn violated_soon(stage: &Stage) -> anyhow::Result<Vec<Invariant>> {
    lab::eventually(SOON, async || {
        let found = stage.violated_now().await?;
        ensure!(found.iter().any(|it| *it != Invariant::NothingLeft), "only {found:?} so far");
        Ok(found)
    })
    .await
}

async fn an_effect_that_is_committed_without_its_message_is_found(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(100).await?;
    stage.check_at_rest().await?;
    let points = "mistake::dual_write=return;mistake::between_the_writes";
    stage.deployment.arm(Service::Billing, points, "panic").await?;
    let key = Uuid::now_v7().to_string();
    let headers = [("prefer", "respond-async"), ("idempotency-key", key.as_str())];
    stage.api.order(user, 90, &headers).await?;
    stage.deployment.wait_end(Service::Billing, SOON).await?;
    stage.deployment.start_service(Service::Billing).await?;
    let found = violated(stage).await?;
    // Charged, and nobody hears of it.
    ensure!(
        found.contains(&Invariant::Withdrawals) && found.contains(&Invariant::NothingLeft),
        "not found, but {found:?}"
    );
    Ok(())
}

async fn a_message_that_is_stored_before_its_row_is_locked_is_found(stage: &mut Stage) -> Outcome {
    stage.deployment.arm(Service::Billing, "mistake::append_before_lock", "return").await?;
    let user = stage.api.create_user().await?;
    let barrier = Barrier::at_profile(stage, user).await?;
    let mut clients = JoinSet::new();
    for number in 0..2 {
        let api = stage.api.clone();
        let profile = json!({"email": format!("address{number}@example.org")});
        clients.spawn(async move { api.update_profile(user, &profile, &[]).await });
    }
    // Both have said what the profile will be, and neither has changed it.
    barrier.holds_up(2).await?;
    barrier.lift().await?;
    while clients.join_next().await.transpose()?.is_some() {}
    let found = violated(stage).await?;
    ensure!(found.contains(&Invariant::Replicas), "not found, but {found:?}");
    Ok(())
}
