//! Thin events: who is notified has to ask, and the answer may not be there, be old, or be no.

use std::time::Duration;

use anyhow::ensure;
use lab::{Letter, Service, eventually};
use reqwest::StatusCode;
use serde_json::json;
use uuid::Uuid;

use crate::harness::{Outcome, Stage, Suite, cases};
use crate::wire::{Wire, envelope, replace_header};

const SOON: Duration = Duration::from_secs(30);

pub fn register(suite: &mut Suite) {
    cases!(
        suite,
        "asking",
        where |features| features.has_messages() && features.cost_of_a_paid_order.gets > 0,
        [
            an_order_that_its_owner_does_not_know_is_asked_for_again_and_then_put_aside,
            an_answer_that_is_older_than_the_message_is_asked_for_again,
            while_an_owner_is_away_the_message_waits_and_nothing_is_put_aside,
        ]
    );
}

/// How often `service` has tried messages again.
async fn retries(stage: &Stage, service: Service) -> anyhow::Result<f64> {
    let metrics = stage.metrics(service).await?;
    let counted = metrics.lines().find(|line| line.starts_with("messaging_retries_total"));
    Ok(counted.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0))
}

async fn an_order_that_its_owner_does_not_know_is_asked_for_again_and_then_put_aside(
    stage: &mut Stage,
) -> Outcome {
    let (user, wire) = (stage.api.create_user_with(10).await?, Wire::of(stage)?);
    let before = retries(stage, Service::Billing).await?;
    // Said in the future, by somebody's clock: patience has an end all the same.
    let headers = envelope("WithdrawalRequested", Uuid::now_v7());
    let headers = replace_header(&headers, "ce_time", Some("2099-01-01T00:00:00Z"));
    let body = json!({"orderId": 4711}).to_string();
    let place = wire.publish("billing", user.to_string().as_bytes(), headers, body.as_bytes()).await?;
    stage.api.expect_dead_letter(&place.0, place.1, place.2, Letter::Expected);
    eventually(SOON, async || {
        ensure!(retries(stage, Service::Billing).await? > before, "billing has not asked again");
        Ok(())
    })
    .await?;
    // What is behind it waits, and is done.
    let reply = stage.api.order(user, 10, &[("prefer", "wait=20")]).await?;
    ensure!(reply.status == StatusCode::CREATED, "{reply:?}");
    ensure!(wire.read("billing.billing.dlt").await?.len() == 1);
    Ok(())
}

async fn an_answer_that_is_older_than_the_message_is_asked_for_again(stage: &mut Stage) -> Outcome {
    let (user, wire) = (stage.api.create_user_with(10).await?, Wire::of(stage)?);
    let order = stage.api.order(user, 10, &[]).await?;
    stage.check_at_rest().await?;
    let before = retries(stage, Service::Notification).await?;
    let headers = envelope("OrderProcessed", Uuid::now_v7());
    let headers = replace_header(&headers, "ce_aggregateversion", Some("3"));
    let headers = replace_header(&headers, "ce_subject", Some("somebody's hand"));
    let body = json!({"orderId": order.body["orderId"]}).to_string();
    let place = wire.publish("orders", user.to_string().as_bytes(), headers, body.as_bytes()).await?;
    stage.api.expect_dead_letter(&place.0, place.1, place.2, Letter::Expected);
    stage.check_at_rest().await?;
    ensure!(retries(stage, Service::Notification).await? > before, "notification has not asked again");
    ensure!(wire.read("orders.notification.dlt").await?.len() == 1);
    Ok(())
}

async fn while_an_owner_is_away_the_message_waits_and_nothing_is_put_aside(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(10).await?;
    // Longer than a 404 would be asked for again.
    stage.deployment.arm(Service::Order, "messaging::effect_committed", "panic").await?;
    let reply = stage.api.order(user, 10, &[("prefer", "wait=6"), ("idempotency-key", "k")]).await?;
    ensure!(reply.status == StatusCode::ACCEPTED, "{reply:?}");
    stage.deployment.wait_end(Service::Order, SOON).await?;
    stage.deployment.start_service(Service::Order).await?;
    let outcome = stage.api.outcome(lab::Api::order_request("k"), SOON).await?;
    ensure!(outcome.body["status"] == "paid", "{outcome:?}");
    Ok(())
}
