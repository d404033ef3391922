//! Throughput: orders per second in a closed loop, as a ratio to what PostgreSQL alone can do, measured in turns with it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use domain::UserId;
use lab::driving::load::{ClosedLoop, Outcome};
use lab::driving::{Api, eventually};
use lab::running::Deployment;
use lab::running::processor::{self, ProcessorTime};
use sandbox::Postgres;
use sqlx::{Connection as _, PgConnection};
use url::Url;

use crate::figures::ThroughputFigures;
use crate::limit::Limit;

/// How long the last email may take after a load.
const EMAILS_MAX: Duration = Duration::from_mins(5);

/// What is measured, and for how long.
pub(crate) struct Plan {
    /// Clients at a time, one load after the other.
    pub(crate) in_flight: Vec<usize>,
    /// How often all of that.
    pub(crate) rounds: usize,
    /// Each load before it counts ...
    pub(crate) warm_up: Duration,
    /// ... and while it does.
    pub(crate) measured: Duration,
    /// Each run of `pgbench`, between two loads.
    pub(crate) limit: Duration,
    /// Decides who orders.
    pub(crate) seed: u64,
}

/// Where it is measured.
pub(crate) struct Bench<'a> {
    pub(crate) deployment: &'a Deployment,
    pub(crate) postgres: &'a Postgres,
    /// What it is held against, where that can be measured.
    pub(crate) limit: Option<&'a Limit>,
    pub(crate) api: &'a Api,
    pub(crate) users: Arc<[UserId]>,
}

/// Measures; returns what was found at each number in flight, and every run of the limit.
pub(crate) async fn measure(
    bench: &Bench<'_>,
    plan: &Plan,
) -> anyhow::Result<(Vec<ThroughputFigures>, Vec<f64>)> {
    let mut found: BTreeMap<usize, ThroughputFigures> = BTreeMap::new();
    let mut limits = Vec::from_iter(bench.run_limit(plan).await?);
    for round in 0..plan.rounds {
        for &in_flight in &plan.in_flight {
            let ClosedRun { orders_per_s, processor_s, orders, drained_after, outcome } =
                bench.run(in_flight, plan, round).await?;
            limits.extend(bench.run_limit(plan).await?);
            let figures = found.entry(in_flight).or_insert_with(|| empty(in_flight));
            // One before each load, and one after.
            if let [.., before, after] = limits[..] {
                figures.ratio.push(orders_per_s / f64::midpoint(before, after));
            }
            figures.orders_per_s.push(orders_per_s);
            figures.emails_drained_after_s = figures.emails_drained_after_s.max(drained_after.as_secs_f64());
            for (who, seconds) in processor_s {
                // The mean of all rounds.
                let share = seconds * 1e3 / orders / count(plan.rounds);
                *figures.cpu_ms_per_order.entry(who.to_owned()).or_default() += share;
            }
            for (status, count) in outcome.statuses.into_iter().filter(|(status, _)| *status != 201) {
                *figures.other_answers.entry(status).or_default() += count;
            }
        }
    }
    Ok((found.into_values().collect(), limits))
}

/// One load.
struct ClosedRun {
    orders_per_s: f64,
    processor_s: ProcessorTime,
    /// That were placed while processor time was counted, the warm-up included.
    orders: f64,
    drained_after: Duration,
    outcome: Outcome,
}

impl Bench<'_> {
    async fn run_limit(&self, plan: &Plan) -> anyhow::Result<Option<f64>> {
        match self.limit {
            Some(limit) => limit.run(plan.limit).await.map(Some),
            None => Ok(None),
        }
    }

    async fn run(&self, in_flight: usize, plan: &Plan, round: usize) -> anyhow::Result<ClosedRun> {
        let Plan { warm_up, measured, seed, .. } = *plan;
        let seed = seed.wrapping_add(round as u64);
        let auditor = &self.deployment.addresses.auditor;
        let (before, placed) =
            (processor::taken(self.deployment, self.postgres), terminal(auditor, None).await?);
        let outcome = ClosedLoop { in_flight, warm_up, measured, seed }.run(self.api, &self.users).await?;
        let after = processor::taken(self.deployment, self.postgres);
        let ended = Instant::now();
        let orders = terminal(auditor, None).await? - placed;
        let in_window = terminal(auditor, Some(&outcome)).await?;
        // Emails drain in batches; the next load must not begin among those of this one.
        emails_are_out(auditor).await?;
        Ok(ClosedRun {
            orders_per_s: in_window / measured.as_secs_f64(),
            processor_s: processor::between(&before, &after),
            orders,
            drained_after: ended.elapsed(),
            outcome,
        })
    }
}

fn empty(in_flight: usize) -> ThroughputFigures {
    ThroughputFigures {
        in_flight,
        orders_per_s: Vec::new(),
        ratio: Vec::new(),
        cpu_ms_per_order: BTreeMap::new(),
        emails_drained_after_s: 0.0,
        other_answers: BTreeMap::new(),
    }
}

#[allow(clippy::cast_precision_loss, reason = "nobody places 2^52 orders")]
fn count(number: usize) -> f64 {
    number as f64
}

/// How many orders have become terminal: in all, or in the measured part of a load.
async fn terminal(auditor: &Url, within: Option<&Outcome>) -> anyhow::Result<f64> {
    let seconds = |time: std::time::SystemTime| {
        time.duration_since(std::time::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
    };
    let (from, to) =
        within.map_or((0.0, f64::from(u32::MAX)), |load| (seconds(load.window.0), seconds(load.window.1)));
    let mut database = PgConnection::connect(auditor.as_str()).await?;
    let count: i64 = sqlx::query_scalar(
        r#"select count(*) from "order".orders
           where status <> 'pending' and updated_at >= to_timestamp($1) and updated_at < to_timestamp($2)"#,
    )
    .bind(from)
    .bind(to)
    .fetch_one(&mut database)
    .await?;
    database.close().await?;
    Ok(i32::try_from(count)?.into())
}

/// Waits until every terminal order's email is out.
async fn emails_are_out(auditor: &Url) -> anyhow::Result<()> {
    eventually(EMAILS_MAX, async || {
        let mut database = PgConnection::connect(auditor.as_str()).await?;
        let left: i64 = sqlx::query_scalar(
            r#"select (select count(*) from "order".orders where reason is distinct from 'account-not-found')
                    - (select count(*) from notification.emails where status in ('sent', 'failed'))"#,
        )
        .fetch_one(&mut database)
        .await?;
        database.close().await?;
        ensure!(left == 0, "{left} emails are not out yet");
        Ok(())
    })
    .await
}
