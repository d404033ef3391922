//! Two instances of billing, and who chooses between them: a balancer that knows connections alone, or the caller itself. Orders
//! come at a steady rate; one instance after the other is killed, hangs, is drained, and comes back.
//!
//! It is always the instance that answers most of the calls that is struck: what happens to one that nobody calls tells nothing.

mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use lab::running::{Balancer, Instances, Options};
use lab::styles::{Service, Style};
use nix::sys::signal::Signal;
use sandbox::Sandbox;
use tokio::time::sleep;

use self::watch::{Look, Watch, answered, share_after_s, shares};
use super::orders::{Clients, Placed, now_s};
use super::outage::{Away, LATE_S};
use super::stage::Stage;
use crate::figures::{ChosenBy, DiscoveryFigures, Strike, StrikeFigures};

/// Orders that fall due each second.
const ORDERS_PER_S: f64 = 50.0;
/// Whose instances they are: the only service that is called twice for an order.
const SERVICE: Service = Service::Billing;

/// How long everything takes.
pub(crate) struct Plan {
    /// Orders are placed before an instance is struck. In the first half of it connections are made, and nothing counts.
    before: Duration,
    /// How each is struck, and how long it stays away.
    strikes: [(Strike, Duration); 3],
    /// Orders are placed after its return.
    after: Duration,
}

/// For a look at it.
pub(crate) const QUICK: Plan = Plan {
    before: Duration::from_secs(2),
    strikes: [
        (Strike::Killed, Duration::from_secs(3)),
        (Strike::Hung, Duration::from_secs(2)),
        (Strike::Drained, Duration::from_secs(2)),
    ],
    after: Duration::from_secs(4),
};
/// A thousand orders while one is killed: a failure among them is a tenth of a per cent.
pub(crate) const FULL: Plan = Plan {
    before: Duration::from_secs(4),
    strikes: [
        (Strike::Killed, Duration::from_secs(20)),
        (Strike::Hung, Duration::from_secs(5)),
        (Strike::Drained, Duration::from_secs(5)),
    ],
    after: Duration::from_secs(8),
};

/// Two instances of billing, and orders.
struct Experiment<'a> {
    stage: Stage,
    instances: Instances,
    clients: Clients,
    plan: &'a Plan,
    /// There while it chooses.
    _balancer: Option<Balancer>,
}

/// Has the instance chosen in each way that `style` knows. What is wrong when it is over joins `violations`.
pub(crate) async fn measure(
    style: &'static Style,
    sandbox: &Sandbox,
    plan: &Plan,
    seed: u64,
    violations: &mut Vec<String>,
) -> anyhow::Result<Vec<DiscoveryFigures>> {
    let mut ways = vec![ChosenBy::Balancer];
    ways.extend(style.features.callers_choose_instances.then_some(ChosenBy::Caller));
    let mut found = Vec::new();
    for chosen_by in ways {
        let mut experiment = Experiment::set_up(style, sandbox, plan, chosen_by, seed).await?;
        found.push(experiment.run(chosen_by, violations).await?);
        experiment.instances.stop().await?;
        experiment.stage.deployment.stop().await?;
    }
    Ok(found)
}

impl<'a> Experiment<'a> {
    async fn set_up(
        style: &'static Style,
        sandbox: &Sandbox,
        plan: &'a Plan,
        chosen_by: ChosenBy,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let mut stage = Stage::set(style, sandbox, Options::default()).await?;
        let instances = Instances::two_of(SERVICE, &mut stage.deployment).await?;
        let balancer = match chosen_by {
            ChosenBy::Balancer => Some(Balancer::start(instances.addresses()?).await?),
            ChosenBy::Caller => None,
        };
        match &balancer {
            Some(balancer) => stage.deployment.lead_to(SERVICE, &[balancer.address()]),
            None => stage.deployment.lead_to(SERVICE, &instances.addresses()?),
        }
        stage.deployment.start_others_anew(SERVICE).await?;
        let clients = Clients::new(&stage.api, seed).await?;
        Ok(Self { stage, instances, clients, plan, _balancer: balancer })
    }

    async fn run(
        &mut self,
        chosen_by: ChosenBy,
        violations: &mut Vec<String>,
    ) -> anyhow::Result<DiscoveryFigures> {
        let (mut share_of_calls, mut strikes) = (Vec::new(), Vec::new());
        for &(strike, away) in &self.plan.strikes {
            let (style, what) = (self.stage.deployment.style.name, strike.in_words());
            eprintln!("... {style}: one of two instances of billing is {what}, chosen by {chosen_by:?}");
            let struck = self.strike(strike, away).await.with_context(|| format!("one is {what}"))?;
            if share_of_calls.is_empty() {
                share_of_calls = struck.shares_before();
            }
            strikes.push(struck.figures(strike));
            let wrong = self.stage.rest().await?;
            violations
                .extend(wrong.into_iter().map(|found| format!("after one instance was {what}: {found}")));
        }
        Ok(DiscoveryFigures { chosen_by, orders_per_s: ORDERS_PER_S, share_of_calls, strikes })
    }

    /// Strikes an instance while orders are placed.
    async fn strike(&mut self, strike: Strike, away: Duration) -> anyhow::Result<Struck> {
        let is_over = Arc::new(AtomicBool::new(false));
        let (mut clients, over) = (self.clients.fork(), Arc::clone(&is_over));
        let load =
            tokio::spawn(
                async move { clients.open(ORDERS_PER_S, move |_| !over.load(Ordering::Relaxed)).await },
            );
        let counted = self.stage.deployment.style.billing_counts_answers_as();
        let watch = Watch::begin(self.instances.urls().cloned().collect(), counted)?;
        let outcome = self.happen(&watch, strike, away).await;
        // Also after an error: the load would go on for ever.
        is_over.store(true, Ordering::Relaxed);
        let (which, counted_from_s, away, to_s) = outcome?;
        Ok(Struck { which, counted_from_s, away, to_s, placed: load.await??, looks: watch.looks() })
    }

    /// The strike, with a while before it and after it: which instance it was, from when on calls were counted, when it was away,
    /// and until when it was watched.
    async fn happen(
        &mut self,
        watch: &Watch,
        strike: Strike,
        away: Duration,
    ) -> anyhow::Result<(usize, f64, Away, f64)> {
        sleep(self.plan.before / 2).await;
        let counted_from_s = now_s();
        sleep(self.plan.before / 2).await;
        let which = busiest(&answered(&watch.looks(), counted_from_s, now_s()))
            .context("nobody has answered any call")?;
        let from_s = now_s();
        match strike {
            Strike::Killed => self.instances.kill(which).await?,
            Strike::Hung => self.instances.signal(which, Signal::SIGSTOP)?,
            Strike::Drained => self.instances.stop_one(which).await?,
        }
        sleep(away.saturating_sub(Duration::from_secs_f64(now_s() - from_s))).await;
        match strike {
            Strike::Hung => self.instances.signal(which, Signal::SIGCONT)?,
            _ => self.instances.start_again(which, &self.stage.deployment).await?,
        }
        let returned_s = now_s();
        sleep(self.plan.after).await;
        Ok((which, counted_from_s, Away { from_s, to_s: returned_s }, now_s()))
    }
}

/// Which instance has answered most of the calls; the first of several. `None` if there was no call.
fn busiest(answered: &[f64]) -> Option<usize> {
    let most = answered.iter().copied().fold(0.0, f64::max);
    answered.iter().position(|&it| it > 0.0 && it >= most)
}

/// An instance that was struck, and all that was seen of it.
struct Struck {
    which: usize,
    counted_from_s: f64,
    away: Away,
    to_s: f64,
    placed: Vec<Placed>,
    looks: Vec<Look>,
}

impl Struck {
    fn shares_before(&self) -> Vec<f64> {
        let mut before = shares(&answered(&self.looks, self.counted_from_s, self.away.from_s));
        before.sort_by(|one, other| other.total_cmp(one));
        before
    }

    fn figures(&self, strike: Strike) -> StrikeFigures {
        let Away { from_s, to_s } = self.away;
        let (meanwhile, otherwise): (Vec<&Placed>, Vec<&Placed>) =
            self.placed.iter().partition(|it| it.due_at_s >= from_s && it.due_at_s < to_s);
        let count = |placed: &[&Placed], is: &dyn Fn(&Placed) -> bool| {
            placed.iter().filter(|it| is(it)).count() as u64
        };
        let failed = |it: &Placed| it.status == 0 || it.status >= 500;
        StrikeFigures {
            strike,
            away_s: to_s - from_s,
            placed: meanwhile.len() as u64,
            failed: count(&meanwhile, &failed),
            accepted: count(&meanwhile, &|it| it.status == 202),
            answered_late: count(&meanwhile, &|it| it.answered_after.as_secs_f64() > LATE_S),
            failed_otherwise: count(&otherwise, &failed),
            share_after_s: share_after_s(&self.looks, self.which, to_s),
            watched_s: self.to_s - to_s,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab::driving::Api;

    fn placed(due_at_s: f64, status: u16, answered_after_s: f64) -> Placed {
        Placed {
            request: Api::order_request(&format!("at {due_at_s}")),
            due_at_s,
            answered_after: Duration::from_secs_f64(answered_after_s),
            status,
        }
    }

    fn look(at_s: f64, one: f64, other: f64) -> Look {
        Look { at_s, answered: vec![one, other] }
    }

    #[test]
    fn a_strike_is_counted_from_what_clients_saw_and_instances_answered() {
        let struck = Struck {
            which: 1,
            counted_from_s: 2.0,
            away: Away { from_s: 4.0, to_s: 6.0 },
            to_s: 9.0,
            placed: vec![
                placed(3.9, 503, 0.1),
                placed(4.0, 503, 0.1),
                placed(4.5, 0, 40.0),
                placed(5.0, 202, 5.0),
                placed(5.9, 201, 0.1),
                placed(6.0, 201, 0.1),
            ],
            looks: vec![
                look(2.0, 10.0, 10.0),
                look(4.0, 20.0, 100.0),
                look(6.0, 120.0, 100.0),
                look(7.0, 220.0, 100.0),
                look(8.0, 270.0, 150.0),
            ],
        };
        let found = struck.figures(Strike::Killed);
        let numbers =
            [found.placed, found.failed, found.accepted, found.answered_late, found.failed_otherwise];
        assert_eq!(numbers, [4, 2, 1, 2, 1]);
        assert_eq!((found.away_s, found.watched_s, found.share_after_s), (2.0, 3.0, Some(1.0)));
        assert_eq!(struck.shares_before(), [0.9, 0.1]);
    }

    #[test]
    fn the_instance_with_most_of_the_calls_is_struck() {
        assert_eq!(busiest(&[1.0, 99.0]), Some(1));
        assert_eq!(busiest(&[50.0, 50.0]), Some(0));
        assert_eq!(busiest(&[0.0, 0.0]), None);
    }
}
