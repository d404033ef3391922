//! What a style costs while nobody wants anything: processor time, SQL statements, requests and calls between services, requests to the broker.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lab::running::processor::{self, ProcessorTime};
use lab::running::scrape::{self, Metrics};
use lab::styles::Service;
use sandbox::Postgres;
use tokio::time::sleep;

use super::stage::Stage;
use super::statements::{Counted, Statements};
use crate::figures::IdleFigures;

/// How long it is watched: twice the interval at which librdkafka tells of its requests (`KAFKA_STATISTICS_MS`), so that what
/// it tells between the two looks is what it did in a time of that length.
const WATCHED: Duration = Duration::from_secs(10);

/// One look.
struct Look {
    at: Instant,
    processors: ProcessorTime,
    sql: Option<Counted>,
    metrics: BTreeMap<Service, Metrics>,
}

/// Watches `stage`, which is at rest and on the server `postgres`.
pub(crate) async fn measure(stage: &Stage, postgres: &Postgres) -> anyhow::Result<IdleFigures> {
    let statements = Statements::of(&stage.deployment).await.ok();
    let before = look(stage, postgres, statements.as_ref()).await?;
    sleep(WATCHED.saturating_sub(before.at.elapsed())).await;
    let after = look(stage, postgres, statements.as_ref()).await?;
    Ok(compare(&before, &after))
}

async fn look(stage: &Stage, postgres: &Postgres, statements: Option<&Statements>) -> anyhow::Result<Look> {
    let (at, processors) = (Instant::now(), processor::taken(&stage.deployment, postgres));
    let metrics = scrape::all(&stage.deployment).await?;
    let sql = match statements {
        Some(statements) => Some(statements.read().await?),
        None => None,
    };
    Ok(Look { at, processors, sql, metrics })
}

fn compare(before: &Look, after: &Look) -> IdleFigures {
    let watched_s = (after.at - before.at).as_secs_f64();
    let rate = |metric: &str| -> BTreeMap<String, f64> {
        let rates = after.metrics.iter().filter_map(|(service, metrics)| {
            let came = metrics.sum(metric) - before.metrics.get(service)?.sum(metric);
            Some((service.name().to_owned(), came / watched_s))
        });
        rates.collect()
    };
    let processors = processor::between(&before.processors, &after.processors);
    let sql = before.sql.as_ref().zip(after.sql.as_ref());
    let sql = sql.map(|(before, after)| after.since(before).per(watched_s)).unwrap_or_default();
    let sql = sql.services.into_iter().map(|(service, counted)| (service, counted.statements));
    IdleFigures {
        watched_s,
        cpu_ms_per_s: processors
            .iter()
            .map(|(&who, taken_s)| (who.to_owned(), taken_s * 1e3 / watched_s))
            .collect(),
        sql_statements_per_s: sql.collect(),
        http_requests_per_s: rate("http_client_request_duration_seconds_count"),
        rpcs_per_s: rate("rpc_client_call_duration_seconds_count"),
        broker_requests_per_s: rate("messaging_broker_requests_total"),
    }
}
