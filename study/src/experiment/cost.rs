//! What a paid order costs: requests, calls, messages and bytes counted from the traces of a few, what HTTP/2 writes as the services
//! count it meanwhile, and SQL statements as the database does.
//!
//! On a deployment of its own: what is timed elsewhere must not be slowed down by exporting spans.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::ensure;
use domain::UserId;
use lab::driving::{Api, Reply, eventually};
use lab::running::scrape::{self, Metrics};
use lab::styles::Service;
use lab::traces::{Cost, Receiver, Trace, TraceId};
use reqwest::StatusCode;
use sqlx::{Connection as _, PgConnection};
use tokio::time::sleep;
use url::Url;

use super::stage::Stage;
use super::statements::{Counted, Statements};
use crate::figures::{CostFigures, ServiceCostFigures, SpanFigures, spans};

/// Orders before anything is counted: connections are made, statements prepared.
const WARM_UP_ORDERS: usize = 10;
/// How long idling is watched, whose cost is then taken off.
const IDLE: Duration = Duration::from_secs(2);
/// How long the last email may take.
const EMAILS_MAX: Duration = Duration::from_secs(15);

/// What was found.
pub(crate) struct Found {
    pub(crate) cost: CostFigures,
    /// The last of the orders, as its trace tells it.
    pub(crate) trace: Vec<SpanFigures>,
    /// Why there are no statements, if there are none.
    pub(crate) without_statements: Option<String>,
    pub(crate) violations: Vec<String>,
}

/// Places `orders` orders one after the other on `stage`, whose spans `receiver` receives, and stops it.
pub(crate) async fn measure(stage: Stage, receiver: &Receiver, orders: usize) -> anyhow::Result<Found> {
    let statements = Statements::of(&stage.deployment).await;
    let without_statements = statements.as_ref().err().map(|error| format!("{error:#}"));
    let user = stage.api.create_user_with(i64::from(u32::MAX)).await?;
    for _ in 0..WARM_UP_ORDERS {
        stage.api.order(user, 1, &[]).await?;
    }
    let mut violations = stage.rest().await?;
    let before = scrape::all(&stage.deployment).await?;
    let (traces, sql) = match statements {
        Ok(statements) => {
            let (traces, counted) = count_statements(&statements, &stage, user, orders).await?;
            (traces, Some(counted))
        }
        Err(_) => (place(&stage.api, user, orders).await?, None),
    };
    violations.extend(stage.rest().await?);
    let on_the_wire = on_the_wire(&before, &scrape::all(&stage.deployment).await?);
    // With this the services export the last of their spans.
    stage.deployment.stop().await?;
    let traces: Vec<Trace> = traces.iter().map(|&id| receiver.trace(id)).collect();
    for trace in &traces {
        // With holes its cost would be too small.
        ensure!(trace.is_whole(), "spans are missing in trace {trace}");
    }
    let last = traces.last().map(spans::of).unwrap_or_default();
    Ok(Found {
        cost: sum_up(&traces, &on_the_wire, sql.as_ref()),
        trace: last,
        without_statements,
        violations,
    })
}

/// Places the orders, and says what each cost the database, apart from what goes on anyway.
async fn count_statements(
    statements: &Statements,
    stage: &Stage,
    user: UserId,
    orders: usize,
) -> anyhow::Result<(Vec<TraceId>, Counted)> {
    let before_idling = statements.read().await?;
    sleep(IDLE).await;
    let (before, started) = (statements.read().await?, Instant::now());
    let idle_per_s = before.since(&before_idling).per(IDLE.as_secs_f64());
    let traces = place(&stage.api, user, orders).await?;
    emails_are_out(&stage.deployment.addresses.auditor, user, WARM_UP_ORDERS + orders).await?;
    let counted = statements.read().await?.since(&before);
    let counted = counted.less(&idle_per_s, started.elapsed().as_secs_f64());
    Ok((traces, counted.per(float(orders))))
}

/// Places paid orders, each in a trace of its own.
async fn place(api: &Api, user: UserId, orders: usize) -> anyhow::Result<Vec<TraceId>> {
    let mut traces = Vec::with_capacity(orders);
    for number in 0..orders {
        let trace = TraceId::fresh();
        let reply = api.order(user, 1, &[("traceparent", &trace.traceparent())]).await?;
        let Reply { status, body, .. } = reply;
        ensure!(status == StatusCode::CREATED, "traced order {number}: {status} {body}");
        traces.push(trace);
    }
    Ok(traces)
}

/// Bytes that each service has written and read meanwhile on the connections by which it calls others with gRPC.
fn on_the_wire(
    before: &BTreeMap<Service, Metrics>,
    after: &BTreeMap<Service, Metrics>,
) -> BTreeMap<String, f64> {
    let bytes = |metrics: &Metrics| {
        metrics.sum("rpc_client_sent_bytes_total") + metrics.sum("rpc_client_received_bytes_total")
    };
    let came = after.iter().filter_map(|(service, after)| {
        Some((service.name().to_owned(), bytes(after) - bytes(before.get(service)?)))
    });
    came.collect()
}

fn sum_up(traces: &[Trace], on_the_wire: &BTreeMap<String, f64>, sql: Option<&Counted>) -> CostFigures {
    let costs: Vec<Cost> = traces.iter().map(Trace::cost).collect();
    let range = |of: fn(&Cost) -> usize| {
        let counts = costs.iter().map(of);
        (counts.clone().min().unwrap_or(0), counts.max().unwrap_or(0))
    };
    let orders = float(traces.len().max(1));
    let mut services: BTreeMap<String, ServiceCostFigures> = BTreeMap::new();
    for (service, cost) in traces.iter().flat_map(Trace::cost_by_service) {
        let figures = services.entry(service).or_default();
        figures.http_requests += float(cost.counts.http_requests);
        figures.gets += float(cost.counts.gets);
        figures.rpcs += float(cost.counts.rpcs);
        figures.messages += float(cost.counts.messages);
        figures.bytes += without_rpcs(&cost);
    }
    for (service, bytes) in on_the_wire.iter().filter(|(_, bytes)| **bytes > 0.0) {
        services.entry(service.clone()).or_default().bytes += bytes;
    }
    for figures in services.values_mut() {
        let ServiceCostFigures { http_requests, gets, rpcs, messages, bytes, .. } = figures;
        for sum in [http_requests, gets, rpcs, messages, bytes] {
            *sum /= orders;
        }
    }
    for (service, counted) in sql.iter().flat_map(|sql| &sql.services) {
        let figures = services.entry(service.clone()).or_default();
        figures.sql_statements = Some(counted.statements);
        figures.sql_transactions = Some(counted.commits);
    }
    CostFigures {
        orders: traces.len(),
        http_requests: range(|cost| cost.counts.http_requests),
        gets: range(|cost| cost.counts.gets),
        rpcs: range(|cost| cost.counts.rpcs),
        messages: range(|cost| cost.counts.messages),
        bytes: (costs.iter().map(without_rpcs).sum::<f64>() + on_the_wire.values().sum::<f64>()) / orders,
        writing_transactions: sql.map(|sql| sql.writing),
        services,
    }
}

/// Waits until `user` was sent `expected` emails. Asks the database: the service would have to ask it too, and be counted.
async fn emails_are_out(auditor: &Url, user: UserId, expected: usize) -> anyhow::Result<()> {
    eventually(EMAILS_MAX, async || {
        let mut database = PgConnection::connect(auditor.as_str()).await?;
        let sent: i64 = sqlx::query_scalar(
            "select count(*) from notification.emails where user_id = $1 and status = 'sent'",
        )
        .bind(user)
        .fetch_one(&mut database)
        .await?;
        database.close().await?;
        ensure!(usize::try_from(sent)? == expected, "{sent} of {expected} emails are out");
        Ok(())
    })
    .await
}

#[allow(clippy::cast_precision_loss, reason = "nobody counts past 2^52 here")]
fn float(number: usize) -> f64 {
    number as f64
}

#[allow(clippy::cast_precision_loss, reason = "an order is no petabyte")]
fn without_rpcs(cost: &Cost) -> f64 {
    (cost.bytes - cost.rpc_bytes) as f64
}
