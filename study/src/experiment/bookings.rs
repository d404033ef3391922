//! A sale: far more buyers than seats, all at once, a third of them without money. Undisturbed, with billing killed in the middle,
//! and with billing away for so long that deadlines pass.
//!
//! However it goes, every seat is to be sold once, to somebody who pays for it, and every buyer is to learn where they stand.

mod buyers;
mod outcome;

use std::time::Duration;

use anyhow::{Context as _, ensure};
use domain::{EventId, UserId};
use lab::driving::Api;
use lab::running::Options;
use lab::styles::{Service, Style};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use reqwest::StatusCode;
use sandbox::Sandbox;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use self::buyers::{Buyer, Lived, Seats, Watch};
use super::stage::Stage;
use crate::figures::{BookingsFigures, SaleFigures, Trouble};

/// The event whose seats are sold.
const EVENT: EventId = EventId(1);
/// What a seat costs; also what a buyer with money has, so that nobody can pay twice.
const PRICE: i64 = 50;
/// One buyer in so many has no money.
const POOR: usize = 3;
/// Users that are registered at the same time.
const REGISTERED_AT_ONCE: usize = 16;
/// How long a sale may take.
const SALE_MAX: Duration = Duration::from_mins(2);
/// How long the moment of a trouble may be waited for.
const TROUBLE_MAX: Duration = Duration::from_mins(1);

/// How large a sale is, and how long its trouble.
pub(crate) struct Plan {
    seats: u32,
    buyers: usize,
    /// How long billing is away when it is killed.
    away: Duration,
    /// The deadline of a booking where deadlines pass.
    deadline: Duration,
}

/// For a look at it.
pub(crate) const QUICK: Plan =
    Plan { seats: 20, buyers: 200, away: Duration::from_secs(2), deadline: Duration::from_secs(2) };
/// As in the question.
pub(crate) const FULL: Plan =
    Plan { seats: 100, buyers: 1_000, away: Duration::from_secs(3), deadline: Duration::from_secs(5) };

/// The deadline of a booking where nothing is said (`SAGA_DEADLINE_MS`).
const USUAL_DEADLINE: Duration = Duration::from_secs(30);

/// Sells the seats of an event in `style`, once with each trouble. What is wrong when a sale is over joins `violations`.
pub(crate) async fn measure(
    style: &'static Style,
    sandbox: &Sandbox,
    plan: &Plan,
    violations: &mut Vec<String>,
) -> anyhow::Result<BookingsFigures> {
    allow_many_connections()?;
    let mut sales = Vec::new();
    for trouble in [Trouble::Nothing, Trouble::BillingKilled, Trouble::DeadlinesPass] {
        let what = trouble.in_words();
        eprintln!("... {}: {} buyers for {} seats, {what}", style.name, plan.buyers, plan.seats);
        let sale = sell(style, sandbox, plan, trouble, violations).await;
        sales.push(sale.with_context(|| format!("a sale while {what}"))?);
    }
    Ok(BookingsFigures {
        seats: plan.seats.into(),
        buyers: plan.buyers as u64,
        without_money: (0..plan.buyers).filter(|buyer| is_poor(*buyer)).count() as u64,
        sales,
    })
}

/// Each buyer is a connection, for us and at the gateway. Processes that we start may have as many open as we may.
fn allow_many_connections() -> anyhow::Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most).context("allowing more open files")
}

fn is_poor(buyer: usize) -> bool {
    buyer.is_multiple_of(POOR)
}

async fn sell(
    style: &'static Style,
    sandbox: &Sandbox,
    plan: &Plan,
    trouble: Trouble,
    violations: &mut Vec<String>,
) -> anyhow::Result<SaleFigures> {
    let deadline = if trouble == Trouble::DeadlinesPass { plan.deadline } else { USUAL_DEADLINE };
    let settings = vec![
        ("SAGA_DEADLINE_MS", deadline.as_millis().to_string()),
        // All of them are at the order service at the same time, and not in a queue before it.
        ("OUTSTANDING_MAX", plan.buyers.to_string()),
    ];
    let mut stage = Stage::set(style, sandbox, Options { settings, ..Options::default() }).await?;
    let users = register(&stage.api, plan.buyers).await?;
    let opened = stage.api.set_capacity(EVENT, plan.seats.into()).await?;
    ensure!(opened.status == StatusCode::CREATED, "the event: {} {}", opened.status, opened.body);
    if trouble == Trouble::DeadlinesPass {
        stage.deployment.stop_service(Service::Billing).await?;
    }
    let sale = Sale::begin(&stage.api, &users);
    let disturbed = sale.disturb(&mut stage, plan, trouble).await;
    // Also after an error: the buyers would go on for as long as they may.
    let lived = sale.end(disturbed.is_ok()).await;
    let (billing_away_s, lived) = (disturbed?, lived?);
    let wrong = stage.rest().await?;
    let found = outcome::Found::of(&stage.deployment.addresses.auditor, PRICE).await?;
    let figures = found.figures(trouble, billing_away_s, deadline.as_secs_f64(), &lived);
    let wrong = wrong.into_iter().chain(outcome::wrong(&figures, plan.seats.into()));
    violations.extend(wrong.map(|what| format!("after a sale while {}: {what}", trouble.in_words())));
    stage.deployment.stop().await?;
    Ok(figures)
}

/// Registers the buyers, a few at a time.
async fn register(api: &Api, buyers: usize) -> anyhow::Result<Vec<UserId>> {
    let (mut users, mut registering) = (Vec::new(), JoinSet::new());
    for buyer in 0..buyers {
        let api = api.clone();
        registering.spawn(async move { api.create_user_with(if is_poor(buyer) { 0 } else { PRICE }).await });
        if registering.len() == REGISTERED_AT_ONCE {
            users.extend(registering.join_next().await.transpose()?.transpose()?);
        }
    }
    while let Some(user) = registering.join_next().await {
        users.push(user??);
    }
    Ok(users)
}

/// A sale that goes on.
struct Sale {
    buyers: JoinSet<anyhow::Result<Lived>>,
    watch: Watch,
}

impl Sale {
    /// All buyers begin.
    fn begin(api: &Api, users: &[UserId]) -> Self {
        let (mut buyers, watch) = (JoinSet::new(), Watch::begin(api, EVENT));
        let until = Instant::now() + SALE_MAX;
        for &user in users {
            let buyer = Buyer { api: api.clone(), user, event: EVENT, price: PRICE, seats: watch.seats() };
            buyers.spawn(buyer.buy(until));
        }
        Self { buyers, watch }
    }

    /// Has the trouble happen at its moment. Says how long billing was away.
    async fn disturb(&self, stage: &mut Stage, plan: &Plan, trouble: Trouble) -> anyhow::Result<f64> {
        let wait_for = |what: &'static str, is: fn(Seats) -> bool| async move {
            self.watch.wait_for(what, is, TROUBLE_MAX).await
        };
        let since = match trouble {
            Trouble::Nothing => return Ok(0.0),
            Trouble::BillingKilled => {
                wait_for("a seat is reserved", |seats| seats.reserved + seats.sold > 0).await?;
                stage.deployment.kill(Service::Billing).await?;
                let since = Instant::now();
                sleep(plan.away).await;
                since
            }
            // It was away before the sale began.
            Trouble::DeadlinesPass => {
                let since = Instant::now();
                wait_for("a seat is reserved", |seats| seats.reserved > 0).await?;
                wait_for("no seat is held any more", |seats| seats.reserved == 0).await?;
                since
            }
        };
        stage.deployment.start_service(Service::Billing).await?;
        Ok(since.elapsed().as_secs_f64())
    }

    /// What each buyer lived through; they are sent away where it cannot end well.
    async fn end(mut self, goes_on: bool) -> anyhow::Result<Vec<Lived>> {
        if !goes_on {
            self.buyers.abort_all();
            return Ok(Vec::new());
        }
        let mut lived = Vec::new();
        while let Some(one) = self.buyers.join_next().await {
            lived.push(one??);
        }
        Ok(lived)
    }
}
