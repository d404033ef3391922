//! What an order costs in communication: counted from its trace, and held against what the style says of itself.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use domain::UserId;
use lab::traces::{Receiver, Trace, TraceId};
use lab::{Service, eventually};
use reqwest::StatusCode;

use crate::harness::{Outcome, Stage, Suite};

/// How long an email may take, and then its trace.
const SOON: Duration = Duration::from_secs(30);

pub fn register(suite: &mut Suite) {
    suite.traced("cost", "a_paid_order_costs_what_the_style_says", a_paid_order_costs_what_the_style_says);
    suite.traced("cost", "a_rejected_order_costs_as_much", a_rejected_order_costs_as_much);
    suite.traced("cost", "a_second_gateway_costs_nothing", a_second_gateway_costs_nothing);
}

async fn a_paid_order_costs_what_the_style_says(stage: &mut Stage, receiver: &Receiver) -> Outcome {
    let user = stage.api.create_user_with(90).await?;
    let trace = order(stage, user, StatusCode::CREATED).await?;
    let trace = last_word(stage, receiver, user, trace).await?;
    // Whoever takes part can be followed there.
    for &service in Service::USUAL {
        ensure!(trace.spans.iter().any(|span| span.service == service.name()), "{service:?}: {trace}");
    }
    ensure!(trace.cost().bytes > 0, "{trace}");
    // To its very end, beyond what was stored and is done later.
    ensure!(trace.spans.iter().any(|span| span.name == "send email"), "{trace}");
    Ok(())
}

async fn a_rejected_order_costs_as_much(stage: &mut Stage, receiver: &Receiver) -> Outcome {
    let user = stage.api.create_user().await?;
    let trace = order(stage, user, StatusCode::PRECONDITION_FAILED).await?;
    last_word(stage, receiver, user, trace).await.map(drop)
}

/// Every gateway hears of every outcome; only the one whose client waits acts.
async fn a_second_gateway_costs_nothing(stage: &mut Stage, receiver: &Receiver) -> Outcome {
    stage.deployment.start_replica(Service::Gateway).await?;
    let user = stage.api.create_user_with(90).await?;
    let trace = order(stage, user, StatusCode::CREATED).await?;
    last_word(stage, receiver, user, trace).await.map(drop)
}

/// Orders in a trace of its own.
async fn order(stage: &Stage, user: UserId, expected: StatusCode) -> anyhow::Result<TraceId> {
    let trace = TraceId::fresh();
    let headers = [("traceparent", trace.traceparent()), ("prefer", "wait=30".to_owned())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let reply = stage.api.order(user, 90, &headers).await?;
    ensure!(reply.status == expected, "{reply:?}");
    Ok(trace)
}

/// The trace when everything has happened that will: it costs what the style says, and the services, which export their last
/// spans when they stop, have nothing to add.
async fn last_word(
    stage: &mut Stage,
    receiver: &Receiver,
    user: UserId,
    trace: TraceId,
) -> anyhow::Result<Trace> {
    eventually(SOON, async || {
        let emails = stage.api.emails(user).await?;
        ensure!(emails.len() == 1 && emails[0]["status"] == "sent", "{emails:?}");
        Ok(())
    })
    .await?;
    let expected = stage.style.features.cost_of_a_paid_order;
    let as_expected = receiver.whole_trace(trace, |trace| trace.cost().counts == expected, SOON).await;
    as_expected.with_context(|| format!("{:?} instead of {expected:?}", receiver.trace(trace).cost()))?;
    for &service in stage.style.services.iter().rev() {
        stage.deployment.stop_service(service).await?;
    }
    let trace = receiver.trace(trace);
    ensure!(trace.is_whole() && trace.cost().counts == expected, "{:?}: {trace}", trace.cost());
    Ok(trace)
}
