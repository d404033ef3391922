//! What whoever runs the services relies on: probes, metrics, request ids, traces, and secrets that stay secret.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use lab::{Service, eventually};
use reqwest::StatusCode;
use serde_json::json;
use sqlx::{Connection as _, PgConnection};

use crate::harness::{Outcome, Stage, Suite, cases};

/// How long a message may take.
const SOON: Duration = Duration::from_secs(30);

pub fn register(suite: &mut Suite) {
    cases!(
        suite,
        "operations",
        [
            every_service_answers_probes_and_tells_its_metrics,
            #[settings(&[("LOG_FILTER", "debug")])]
            a_request_can_be_followed_through_every_service_by_its_id_and_its_trace,
            #[settings(&[("LOG_FILTER", "trace")])]
            a_password_is_nowhere_but_in_its_hash,
        ]
    );
}

async fn every_service_answers_probes_and_tells_its_metrics(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(1).await?;
    stage.api.order(user, 1, &[]).await?;
    for &service in stage.style.services {
        let api = stage.api_of(service);
        for probe in ["/health", "/ready"] {
            let reply = api.get(probe).await?;
            ensure!(
                reply.status == StatusCode::OK && reply.body["status"] == "up",
                "{service:?} {probe}: {reply:?}"
            );
        }
        let metrics = stage.metrics(service).await?;
        let served = format!("http_server_request_duration_seconds_count{{service=\"{}\"", service.name());
        for metric in [served.as_str(), "process_resident_memory_bytes"] {
            ensure!(metrics.contains(metric), "{service:?} has no {metric}:\n{metrics}");
        }
    }
    Ok(())
}

async fn a_request_can_be_followed_through_every_service_by_its_id_and_its_trace(
    stage: &mut Stage,
) -> Outcome {
    let user = stage.api.create_user_with(1).await?;
    let (id, trace) = ("follow-me-1", "0af7651916cd43dd8448eb211c80319c");
    let traceparent = format!("00-{trace}-b7ad6b7169203331-01");
    let reply = stage.api.order(user, 1, &[("x-request-id", id), ("traceparent", &traceparent)]).await?;
    ensure!(reply.status == StatusCode::CREATED && reply.header("x-request-id") == Some(id), "{reply:?}");
    for &service in Service::USUAL {
        // A message may still be on its way.
        let line = eventually(SOON, async || {
            let log = std::fs::read_to_string(stage.deployment.log(service))?;
            let line = log.lines().find(|line| line.contains(trace)).map(str::to_owned);
            line.with_context(|| format!("{service:?} logs nothing of the trace"))
        })
        .await?;
        // A message carries the trace; the id is for HTTP.
        let by_http = service == Service::Gateway || stage.style.features.orchestrates;
        ensure!(!by_http || line.contains(id), "{service:?} does not know the request's id: {line}");
    }
    Ok(())
}

async fn a_password_is_nowhere_but_in_its_hash(stage: &mut Stage) -> Outcome {
    let secret = "Tr0ub4dor-and-3";
    let body = json!({"username": "s", "password": secret, "email": "s@example.org"});
    let created = stage.api.post("/billing/user", &[], &body).await?;
    let again = stage.api.post("/billing/user", &[], &body).await?;
    ensure!(created.status == StatusCode::CREATED && again.status == StatusCode::CONFLICT);
    let read = stage.api.get(&format!("/billing/user/{}", created.body["userId"])).await?;
    for reply in [created, again, read] {
        ensure!(
            !reply.body.to_string().contains(secret) && !reply.body.to_string().contains("argon2"),
            "{reply:?}"
        );
    }
    ensure!(!stage.logs()?.contains(secret), "a log has the password");
    let mut auditor = PgConnection::connect(stage.deployment.addresses.auditor.as_str()).await?;
    let hash: String =
        sqlx::query_scalar("select password_hash from billing.users").fetch_one(&mut auditor).await?;
    ensure!(hash.starts_with("$argon2id$v=19$"), "{hash}");
    let requests: String = sqlx::query_scalar("select string_agg(r::text, ' ') from billing.requests r")
        .fetch_one(&mut auditor)
        .await?;
    ensure!(!requests.contains(secret), "{requests}");
    auditor.close().await?;
    Ok(())
}
