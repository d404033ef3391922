//! A service that is away, or does not answer: clear refusals, nothing half-done, and business as usual when it is back.

use std::time::Duration;

use anyhow::ensure;
use lab::{Api, Service, eventually};
use nix::sys::signal::Signal;
use reqwest::StatusCode;
use serde_json::json;

use crate::harness::{Outcome, Stage, Suite, cases};

/// How long it may take until a service that is back is used again.
const SOON: Duration = Duration::from_secs(30);

pub fn register(suite: &mut Suite) {
    cases!(
        suite,
        "away",
        // Who asks would ask the frozen one.
        where |features| features.has_messages() && features.cost_of_a_paid_order.gets == 0,
        [an_instance_that_freezes_keeps_neither_its_partitions_nor_its_outbox]
    );
    cases!(
        suite,
        "away",
        where |features| !features.orders_wait_for_billing,
        [a_known_outcome_needs_nobody_else]
    );
    cases!(
        suite,
        "away",
        [
            while_billing_is_away_orders_are_refused_at_once_or_decided_later,
            while_notification_is_away_orders_are_paid_and_the_email_follows,
            while_the_order_service_is_away_the_rest_goes_on,
            a_billing_that_hangs_does_not_hold_up_clients_past_their_wait,
            a_notification_that_hangs_does_not_hide_that_the_order_is_paid,
            a_gateway_stays_ready_whoever_hangs_behind_it,
        ]
    );
}

async fn an_instance_that_freezes_keeps_neither_its_partitions_nor_its_outbox(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(1_000).await?;
    ensure!(stage.api.order(user, 10, &[]).await?.status == StatusCode::CREATED);
    stage.deployment.start_replica(Service::Billing).await?;
    stage.deployment.signal(Service::Billing, Signal::SIGSTOP)?;
    let reply = stage.api.order(user, 10, &[]).await?;
    stage.deployment.signal(Service::Billing, Signal::SIGCONT)?;
    ensure!(reply.status == StatusCode::CREATED, "{reply:?}");
    ensure!(stage.api.order(user, 10, &[]).await?.status == StatusCode::CREATED);
    Ok(())
}

fn refused(reply: &lab::Reply) -> Outcome {
    ensure!(
        reply.status == StatusCode::SERVICE_UNAVAILABLE && reply.code() == Some("unavailable"),
        "{reply:?}"
    );
    ensure!(reply.header("retry-after").is_some(), "{reply:?}");
    Ok(())
}

async fn while_billing_is_away_orders_are_refused_at_once_or_decided_later(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(1_000).await?;
    stage.deployment.kill(Service::Billing).await?;
    let mut requests = 0;
    for _ in 0..8 {
        let reply = stage.api.order(user, 10, &[("prefer", "wait=1")]).await?;
        if stage.style.features.refuses_orders_while_billing_is_away {
            refused(&reply)?;
        } else {
            ensure!(reply.status == StatusCode::ACCEPTED, "{reply:?}");
            requests += usize::from(!stage.style.features.orders_wait_for_billing);
        }
    }
    let orders = stage.api.get(&format!("/orders?userId={user}")).await?;
    ensure!(orders.body.as_array().is_some_and(|orders| orders.len() == requests), "{orders:?}");
    if stage.style.features.refuses_orders_while_billing_is_away {
        let (metrics, calls) = (stage.metrics(Service::Order).await?, stage.style.calls_are_counted_as());
        let open = format!("{calls}_breaker_state{{service=\"order\",peer=\"billing\"}} 2");
        ensure!(metrics.contains(&open), "{metrics}");
    }

    stage.deployment.start_service(Service::Billing).await?;
    eventually(SOON, async || {
        let reply = stage.api.order(user, 10, &[]).await?;
        ensure!(reply.status == StatusCode::CREATED, "{reply:?}");
        Ok(())
    })
    .await
}

async fn while_notification_is_away_orders_are_paid_and_the_email_follows(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(90).await?;
    stage.deployment.kill(Service::Notification).await?;
    let paid = stage.api.order(user, 90, &[]).await?;
    ensure!(paid.status == StatusCode::CREATED, "{paid:?}");
    let poor = stage.api.order(user, 90, &[]).await?;
    ensure!(poor.status == StatusCode::PRECONDITION_FAILED, "{poor:?}");
    refused(&stage.api.get(&format!("/notification/email/{user}")).await?)?;
    stage.deployment.start_service(Service::Notification).await?;
    stage.check_at_rest().await?;
    let mut titles: Vec<String> =
        stage.api.emails(user).await?.iter().map(|email| email["title"].to_string()).collect();
    titles.sort();
    ensure!(titles == ["\"Not enough money\"", "\"Order is paid\""], "{titles:?}");
    Ok(())
}

async fn while_the_order_service_is_away_the_rest_goes_on(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(90).await?;
    stage.deployment.kill(Service::Order).await?;
    refused(&stage.api.get("/orders/1").await?)?;
    ensure!(stage.api.deposit(user, 10).await?.body == json!({"balance": 100}));
    stage.deployment.start_service(Service::Order).await?;
    eventually(SOON, async || {
        let reply = stage.api.order(user, 100, &[]).await?;
        ensure!(reply.status == StatusCode::CREATED, "{reply:?}");
        Ok(())
    })
    .await
}

async fn a_billing_that_hangs_does_not_hold_up_clients_past_their_wait(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(90).await?;
    // The first withdrawal meets a billing that takes it, and then longer than the client waits to answer.
    stage.check_at_rest().await?;
    let (features, points) = (&stage.style.features, &stage.style.features.points);
    // What is committed to an outbox, the relay says by itself.
    let point =
        if features.has_messages() { points.withdrawal_received } else { points.withdrawal_committed };
    stage.deployment.arm(Service::Billing, point, "1*sleep(1500)").await?;
    let key = [("prefer", "wait=1"), ("idempotency-key", "k")];
    let slow = stage.api.order(user, 90, &key).await?;
    ensure!(
        slow.status == StatusCode::ACCEPTED && slow.header("preference-applied") == Some("wait=1"),
        "{slow:?}"
    );
    ensure!(slow.elapsed < Duration::from_secs(3), "{slow:?}");
    let outcome = stage.api.outcome(Api::order_request("k"), SOON).await?;
    ensure!(outcome.body["status"] == "paid", "{outcome:?}");

    stage.deployment.signal(Service::Billing, Signal::SIGSTOP)?;
    let hung = stage.api.get(&format!("/billing/user/{user}")).await?;
    stage.deployment.signal(Service::Billing, Signal::SIGCONT)?;
    refused(&hung)?;
    eventually(SOON, async || {
        ensure!(stage.api.balance(user).await? == 0);
        Ok(())
    })
    .await
}

async fn a_notification_that_hangs_does_not_hide_that_the_order_is_paid(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(90).await?;
    stage.deployment.signal(Service::Notification, Signal::SIGSTOP)?;
    let reply = stage.api.order(user, 90, &[("prefer", "wait=5")]).await;
    stage.deployment.signal(Service::Notification, Signal::SIGCONT)?;
    let reply = reply?;
    ensure!(reply.status == StatusCode::CREATED, "{reply:?}");
    Ok(())
}

async fn a_known_outcome_needs_nobody_else(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(90).await?;
    let key = [("idempotency-key", "k")];
    let first = stage.api.order(user, 90, &key).await?;
    stage.deployment.kill(Service::Billing).await?;
    stage.deployment.kill(Service::Notification).await?;
    let again = stage.api.order(user, 90, &key).await?;
    ensure!(again.status == StatusCode::CREATED && again.body == first.body, "{again:?}");
    stage.deployment.start_service(Service::Notification).await?;
    stage.deployment.start_service(Service::Billing).await
}

async fn a_gateway_stays_ready_whoever_hangs_behind_it(stage: &mut Stage) -> Outcome {
    let owners = [Service::Billing, Service::Order, Service::Notification];
    for service in owners {
        stage.deployment.signal(service, Signal::SIGSTOP)?;
    }
    let ready = stage.api_of(Service::Gateway).get("/ready").await;
    for service in owners {
        stage.deployment.signal(service, Signal::SIGCONT)?;
    }
    let ready = ready?;
    ensure!(ready.status == StatusCode::OK, "{ready:?}");
    Ok(())
}
