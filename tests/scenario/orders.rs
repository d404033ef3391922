//! Orders: the scenario itself, and many at once.

use anyhow::ensure;
use lab::driving::scenario;
use reqwest::StatusCode;
use tokio::task::JoinSet;

use crate::harness::{Outcome, Stage, Suite, cases};

pub fn register(suite: &mut Suite) {
    cases!(
        suite,
        "orders",
        [
            the_scenario_holds_step_by_step,
            of_sixty_four_orders_at_once_on_a_balance_for_ten_exactly_ten_are_paid,
        ]
    );
}

async fn the_scenario_holds_step_by_step(stage: &mut Stage) -> Outcome {
    let steps = scenario::run(&stage.api, stage.deployment.mailbox(), |_| {}).await?;
    ensure!(steps.len() == 11, "{} steps", steps.len());
    for step in steps {
        ensure!(step.failure.is_none(), "{step:#?}");
    }
    Ok(())
}

async fn of_sixty_four_orders_at_once_on_a_balance_for_ten_exactly_ten_are_paid(
    stage: &mut Stage,
) -> Outcome {
    let user = stage.api.create_user_with(10 * 7).await?;
    let mut orders = JoinSet::new();
    for _ in 0..64 {
        let api = stage.api.clone();
        orders.spawn(async move { api.order(user, 7, &[("prefer", "wait=30")]).await });
    }
    // All the while no balance is negative and every balance equals its ledger.
    let checker = stage.checker.clone();
    let (all_answered, mut answered) = tokio::sync::watch::channel(false);
    let watching = tokio::spawn(async move {
        while !*answered.borrow_and_update() {
            let violations = checker.always().await?;
            ensure!(violations.is_empty(), "{violations:?}");
        }
        anyhow::Ok(())
    });
    let (mut paid, mut refused) = (0, 0);
    while let Some(reply) = orders.join_next().await {
        let reply = reply??;
        match reply.status {
            StatusCode::CREATED => paid += 1,
            StatusCode::PRECONDITION_FAILED => refused += 1,
            other => anyhow::bail!("{other}: {}", reply.body),
        }
    }
    all_answered.send_replace(true);
    watching.await??;
    ensure!((paid, refused) == (10, 54), "{paid} paid, {refused} refused");
    ensure!(stage.api.balance(user).await? == 0);
    stage.check_at_rest().await?;
    let emails = stage.api.emails(user).await?;
    let titled = |title: &str| emails.iter().filter(|email| email["title"] == title).count();
    ensure!((titled("Order is paid"), titled("Not enough money")) == (10, 54), "{emails:?}");
    Ok(())
}
