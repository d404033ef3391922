//! A route that costs its owner too much: whoever asks for it waits in vain, and nobody else does.

use anyhow::ensure;
use lab::{Api, Service};
use reqwest::StatusCode;
use serde_json::json;
use tokio::task::JoinSet;

use crate::harness::{Outcome, Stage, Suite, cases};

/// Each of them times out three times: far more than the failures in a row that open a circuit breaker.
const CLIENTS: usize = 4;

pub fn register(suite: &mut Suite) {
    cases!(
        suite,
        "costly",
        [
            // The crash point holds a thread, which no costly route of ours does.
            #[settings(&[("TOKIO_WORKER_THREADS", "32"), ("CALL_TIMEOUT_MS", "400")])]
            a_route_that_times_out_does_not_close_its_owner_to_others,
        ]
    );
}

async fn a_route_that_times_out_does_not_close_its_owner_to_others(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user().await?;
    stage.deployment.arm(Service::Notification, "notification::email_stored", "sleep(700)").await?;
    // As strangers are: told 503, they do not try again.
    let strangers = Api::new(stage.deployment.gateway().clone());
    let mut senders = JoinSet::new();
    for number in 0..CLIENTS {
        let api = strangers.clone();
        let email = json!({"email": "ann@example.org", "title": number.to_string(), "message": "Hi"});
        senders.spawn(async move { api.post(&format!("/notification/email/{user}"), &[], &email).await });
    }
    while let Some(reply) = senders.join_next().await {
        let reply = reply??;
        ensure!(reply.status == StatusCode::SERVICE_UNAVAILABLE, "it is too slow: {reply:?}");
        let others = strangers.get(&format!("/notification/email/{user}")).await?;
        ensure!(others.status == StatusCode::OK, "{others:?}");
    }
    let metrics = stage.metrics(Service::Gateway).await?;
    ensure!(!metrics.contains("_client_breaker_rejections_total"), "{metrics}");
    Ok(())
}
