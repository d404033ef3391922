//! How long an order takes: until its client is answered, until it is decided, until its email is out.
//!
//! The answer is timed by the client; the other two are what the database, asked afterwards, says happened when, on the same
//! machine's clock.

use std::time::Duration;

use anyhow::ensure;

use super::distribution::Distribution;
use super::fates;
use super::orders::{Clients, Placed};
use super::stage::Stage;
use crate::figures::{LatencyFigures, Load};

/// How long the last email may take: they are sent one by one, and a slow disk makes each wait.
const EMAILS_MAX: Duration = Duration::from_mins(5);
/// In flight when the rate of the open loop is found, which is half of what is reached then.
const RATE_IN_FLIGHT: usize = 16;
/// The part of the orders that comes first and is not counted: connections are made, statements prepared, caches filled.
const WARM_UP: f64 = 0.15;

/// What is measured.
pub(crate) struct Plan {
    /// How many clients at a time, and how many orders they place, besides those to warm up.
    pub(crate) closed: &'static [(usize, usize)],
    /// How long the open loop lasts, in seconds; 0: there is none.
    pub(crate) open_s: f64,
}

/// One order at a time, for a minute's run.
pub(crate) const QUICK: Plan = Plan { closed: &[(1, 150)], open_s: 0.0 };
/// Under load, too.
pub(crate) const FULL: Plan = Plan { closed: &[(1, 300), (RATE_IN_FLIGHT, 1000), (64, 2000)], open_s: 8.0 };

/// Measures one load after the other.
pub(crate) async fn measure(stage: &Stage, plan: &Plan, seed: u64) -> anyhow::Result<Vec<LatencyFigures>> {
    let mut clients = Clients::new(&stage.api, seed).await?;
    let mut found = Vec::new();
    let mut rate_per_s = None;
    for &(in_flight, orders) in plan.closed {
        let warm_up = share(orders, WARM_UP);
        let mut placed = clients.closed(in_flight, warm_up + orders).await;
        let counted = placed.split_off(warm_up);
        if in_flight == RATE_IN_FLIGHT {
            rate_per_s = Some(rate(&counted));
        }
        found.push(figures(stage, Load::Closed { in_flight }, &placed, &counted).await?);
    }
    if let Some(reached) = rate_per_s.filter(|_| plan.open_s > 0.0) {
        // A round number, and the same distance between any two.
        let orders_per_s = (reached / 2.0).round().max(1.0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few thousand")]
        let orders = (orders_per_s * plan.open_s) as usize;
        let warm_up = share(orders, WARM_UP);
        let mut placed = clients.open(orders_per_s, move |number| number < warm_up + orders).await?;
        let counted = placed.split_off(warm_up);
        found.push(figures(stage, Load::Open { orders_per_s }, &placed, &counted).await?);
    }
    Ok(found)
}

async fn figures(
    stage: &Stage,
    load: Load,
    warm_up: &[Placed],
    counted: &[Placed],
) -> anyhow::Result<LatencyFigures> {
    for order in warm_up.iter().chain(counted) {
        ensure!(order.is_acknowledged(), "{load:?}: an order was answered with {}", order.status);
    }
    let auditor = &stage.deployment.addresses.auditor;
    // Also those that are not counted: the next load must not begin among their emails.
    fates::settled(auditor, warm_up, EMAILS_MAX).await?;
    let fates = fates::settled(auditor, counted, EMAILS_MAX).await?;
    let until = |moment: fn(&fates::Fate) -> Option<f64>| {
        let seconds = counted.iter().filter_map(|it| Some(moment(fates.get(&it.request)?)? - it.due_at_s));
        Distribution::of(seconds)
    };
    let answer = Distribution::of(counted.iter().map(|order| order.answered_after.as_secs_f64()));
    Ok(LatencyFigures {
        load,
        orders: answer.len(),
        answer: answer.quantiles(),
        terminal: until(|fate| fate.terminal_at_s).quantiles(),
        email: until(|fate| fate.emailed_at_s).quantiles(),
    })
}

/// Orders per second from the first request to the last answer.
fn rate(placed: &[Placed]) -> f64 {
    let first = placed.iter().map(|order| order.due_at_s).fold(f64::INFINITY, f64::min);
    let answered = placed.iter().map(|order| order.due_at_s + order.answered_after.as_secs_f64());
    let seconds = answered.fold(f64::NEG_INFINITY, f64::max) - first;
    #[allow(clippy::cast_precision_loss, reason = "a few thousand")]
    let orders = placed.len() as f64;
    if seconds > 0.0 { orders / seconds } else { 0.0 }
}

fn share(orders: usize, part: f64) -> usize {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a few thousand"
    )]
    let count = (orders as f64 * part).ceil() as usize;
    count
}
