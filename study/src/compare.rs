//! `study compare`: the scenario over every style, then the experiments, put together into a report and printed so that a person
//! can read it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use chrono::Utc;
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use lab::driving::load;
use lab::running::{Ground, Options};
use lab::styles::{STYLES, Style};
use lab::traces::Receiver;
use sandbox::Sandbox;

use crate::experiment::stage::Stage;
use crate::experiment::throughput::{self, Bench};
use crate::experiment::{
    availability, bookings, cost, discovery, freshness, idle, latency, memory, scenario,
};
use crate::figures::{
    FreshnessFigures, Limit as LimitFigures, Report, Setup, StyleFigures, ThroughputFigures,
};
use crate::limit::{self, Limit};
use crate::{claims, mistakes, report, setup, table};

/// How it is compared.
#[derive(Clone, Debug, Args)]
pub(crate) struct CompareSettings {
    /// Measures everything, which takes 25 minutes. Without it, the run takes about a minute: the scenario, what an order
    /// costs, how long an order takes when it is alone, and a short load.
    #[arg(long)]
    full: bool,
    /// Decides the users and prices of every load. Without it, a random seed is taken and printed.
    #[arg(long)]
    seed: Option<u64>,
    /// Compares only these styles, separated by commas.
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(STYLES.iter().map(|style| style.name)))]
    styles: Vec<String>,
    /// Makes only these experiments, separated by commas. The scenario and what an order costs are always part of a run.
    #[arg(long, value_delimiter = ',', value_enum)]
    experiments: Vec<Experiment>,
    /// The directory for the report.
    #[arg(long, default_value = "target/study")]
    out: PathBuf,
}

/// What can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Experiment {
    /// How long an order takes, under several loads.
    Latency,
    /// What the services cost while there is nothing to do.
    Idle,
    /// What happens while a service or the broker is down.
    Availability,
    /// Who answers the calls with two instances of billing, and what happens when one is struck.
    Discovery,
    /// A sale with more buyers than seats, also while billing dies, and while deadlines pass.
    Bookings,
    /// How fresh replicas are.
    Freshness,
    /// How many orders are decided per second.
    Throughput,
    /// What happens when classic mistakes are made.
    Mistakes,
}

/// Which part of the traces is recorded while throughput is measured.
const TRACES_SAMPLED: f64 = 0.01;

/// What one run has in common for all styles.
struct Run<'a> {
    sandbox: &'a Sandbox,
    limit: Option<Limit>,
    quick: bool,
    seed: u64,
    experiments: Vec<Experiment>,
}

/// Runs the comparison, prints it and writes the report. `false`: something was not as expected.
pub(crate) async fn compare(settings: CompareSettings) -> anyhow::Result<bool> {
    let (made_at, started) = (Utc::now(), Instant::now());
    progress("starting the sandbox");
    let sandbox = Sandbox::start().await?;
    println!(
        "sandbox     {}, {}, SMTP at {}, up in {:.2} s",
        sandbox.postgres.describe(),
        sandbox.kafka.describe(),
        sandbox.smtp.url(),
        started.elapsed().as_secs_f64()
    );
    let CompareSettings { full, seed, styles, experiments, out } = settings;
    let quick = !full;
    // In the reach of every JSON parser.
    let seed = seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    let (limit, without_limit) = prepare_limit(&sandbox).await;
    let setup = Setup { traces_sampled: TRACES_SAMPLED, without_limit, ..setup::of(&sandbox).await? };
    let run = Run { sandbox: &sandbox, limit, quick, seed, experiments };
    let (claims, mistakes, styles, limit) = (Vec::new(), Vec::new(), chosen(&styles), None);
    let mut report =
        Report { made_at, took_s: 0.0, quick, seed, setup, limit, styles: Vec::new(), claims, mistakes };
    for style in styles {
        run.examine(style, &mut report).await.context(style.name)?;
    }
    if run.wants(Experiment::Mistakes) {
        report.mistakes = mistakes::all(&Ground::of(&sandbox), seed).await?;
    }
    if let Some(limit) = run.limit {
        limit.remove().await?;
    }
    sandbox.stop().await?;
    report.took_s = started.elapsed().as_secs_f64();
    report.claims = claims::check(&report);
    println!("\ncomparison\n{}\n\n{}", table::render(&report), table::settings(&report));
    println!("\nreport     {}", report::write(&report, &out)?.display());
    for difference in claims::differences(&report.claims, claims::COMMITTED) {
        println!("claim      {difference}");
    }
    let mistakes_are_found = report.mistakes.iter().all(mistakes::is_as_expected);
    Ok(report.styles.iter().all(is_as_expected) && mistakes_are_found)
}

/// The styles of those names; all of them without any.
fn chosen(names: &[String]) -> Vec<&'static Style> {
    STYLES.iter().filter(|style| names.is_empty() || names.iter().any(|name| name == style.name)).collect()
}

/// What throughput is held against; why it is held against nothing where that cannot be measured, as without `pgbench`.
async fn prepare_limit(sandbox: &Sandbox) -> (Option<Limit>, Option<String>) {
    match Limit::prepare(&sandbox.postgres).await {
        Ok(limit) => (Some(limit), None),
        Err(error) => (None, Some(format!("{error:#}"))),
    }
}

/// Prints the table of a saved report.
///
/// # Errors
/// When it is none.
pub(crate) fn show(report: &Path) -> anyhow::Result<()> {
    let text = std::fs::read(report).with_context(|| format!("reading {}", report.display()))?;
    let report = serde_json::from_slice(&text).with_context(|| format!("reading {}", report.display()))?;
    println!("{}\n\n{}", table::render(&report), table::settings(&report));
    Ok(())
}

fn is_as_expected(style: &StyleFigures) -> bool {
    style.violations.is_empty() && style.scenario.iter().all(|step| step.failure.is_none())
}

impl Run<'_> {
    fn wants(&self, experiment: Experiment) -> bool {
        let is_quick = matches!(experiment, Experiment::Latency | Experiment::Throughput);
        if self.experiments.is_empty() {
            is_quick || !self.quick
        } else {
            self.experiments.contains(&experiment)
        }
    }

    /// All about one style.
    async fn examine(&self, style: &'static Style, report: &mut Report) -> anyhow::Result<()> {
        let mut figures = self.run_through(style).await?;
        let cost = self.count_cost(style).await?;
        report.setup.without_statements = cost.without_statements;
        (figures.cost, figures.trace) = (cost.cost, cost.trace);
        let violations = &mut figures.violations;
        violations.extend(cost.violations);
        if self.wants(Experiment::Throughput) {
            let measured = self.measure_throughput(style, violations).await;
            let (throughput, runs) = or_note("throughput", measured, violations);
            figures.throughput = throughput;
            if self.limit.is_some() {
                let empty = LimitFigures { clients: limit::CLIENTS, orders_per_s: Vec::new() };
                report.limit.get_or_insert(empty).orders_per_s.extend(runs);
            }
        }
        if self.wants(Experiment::Availability) {
            let outages = availability::measure(style, self.sandbox, self.seed, violations).await;
            figures.availability = or_note("availability", outages, violations);
        }
        if self.wants(Experiment::Discovery) && style.features.orchestrates {
            let plan = if self.quick { &discovery::QUICK } else { &discovery::FULL };
            let found = discovery::measure(style, self.sandbox, plan, self.seed, violations).await;
            figures.discovery = or_note("discovery", found, violations);
        }
        if self.wants(Experiment::Bookings) && style.features.has_bookings {
            let plan = if self.quick { &bookings::QUICK } else { &bookings::FULL };
            let sold = bookings::measure(style, self.sandbox, plan, violations).await;
            figures.bookings = or_note("bookings", sold.map(Some), violations);
        }
        if self.wants(Experiment::Freshness) && style.features.has_replicas {
            let measured = self.measure_freshness(style, violations).await;
            figures.freshness = or_note("freshness", measured.map(Some), violations);
        }
        report.styles.push(figures);
        Ok(())
    }

    /// What is measured on one deployment: the scenario, how long orders take, what services need of the machine.
    async fn run_through(&self, style: &'static Style) -> anyhow::Result<StyleFigures> {
        progress(&format!("starting {}", style.name));
        let stage = Stage::set(style, self.sandbox, Options::default()).await?;
        let mut figures = StyleFigures {
            style: style.name.to_owned(),
            ready_after_s: stage.ready_after.as_secs_f64(),
            memory: memory::measure(&stage.deployment).await?,
            scenario: scenario::run(&stage).await?,
            ..StyleFigures::default()
        };
        if self.wants(Experiment::Latency) {
            progress(&format!("{}: how long orders take", style.name));
            let plan = if self.quick { &latency::QUICK } else { &latency::FULL };
            figures.latency = latency::measure(&stage, plan, self.seed).await?;
        }
        figures.violations = stage.rest().await?;
        if self.wants(Experiment::Idle) {
            progress(&format!("{}: nothing to do", style.name));
            let watched = idle::measure(&stage, &self.sandbox.postgres).await;
            figures.idle = or_note("idle", watched.map(Some), &mut figures.violations);
        }
        let end = memory::measure(&stage.deployment).await?;
        figures.memory = memory::at_most(figures.memory, &end);
        stage.deployment.stop().await?;
        Ok(figures)
    }

    async fn count_cost(&self, style: &'static Style) -> anyhow::Result<cost::Found> {
        let orders = if self.quick { 20 } else { 100 };
        progress(&format!("{}: {orders} orders with tracing on", style.name));
        let receiver = Receiver::start().await?;
        let options = Options { traces: Some(receiver.endpoint().clone()), ..Options::default() };
        let stage = Stage::set(style, self.sandbox, options).await?;
        cost::measure(stage, &receiver, orders).await
    }

    async fn measure_throughput(
        &self,
        style: &'static Style,
        violations: &mut Vec<String>,
    ) -> anyhow::Result<(Vec<ThroughputFigures>, Vec<f64>)> {
        progress(&format!("{}: as many orders as it can", style.name));
        let receiver = Receiver::start().await?;
        let options = Options {
            traces: Some(receiver.endpoint().clone()),
            settings: vec![("OTEL_TRACES_SAMPLER_ARG", TRACES_SAMPLED.to_string())],
            ..Options::default()
        };
        let stage = Stage::set(style, self.sandbox, options).await?;
        let (deployment, postgres, api) = (&stage.deployment, &self.sandbox.postgres, &stage.api);
        let limit = self.limit.as_ref();
        let users = load::create_users(api).await?;
        let bench = Bench { deployment, postgres, limit, api, users };
        let found = throughput::measure(&bench, &self.throughput_plan()).await?;
        violations.extend(stage.rest().await?);
        stage.deployment.stop().await?;
        Ok(found)
    }

    fn throughput_plan(&self) -> throughput::Plan {
        let quick = self.quick;
        throughput::Plan {
            in_flight: if quick { vec![64] } else { vec![1, 4, 16, 64, 256] },
            rounds: if quick { 1 } else { 3 },
            warm_up: Duration::from_secs(1),
            measured: Duration::from_secs(if quick { 2 } else { 3 }),
            limit: Duration::from_secs(if quick { 1 } else { 2 }),
            seed: self.seed,
        }
    }

    async fn measure_freshness(
        &self,
        style: &'static Style,
        violations: &mut Vec<String>,
    ) -> anyhow::Result<FreshnessFigures> {
        progress(&format!("{}: profiles change under load", style.name));
        let stage = Stage::set(style, self.sandbox, Options::default()).await?;
        let found = freshness::measure(&stage, self.seed).await?;
        violations.extend(stage.rest().await?);
        stage.deployment.stop().await?;
        Ok(found)
    }
}

/// What an experiment found; if it failed, that is noted as what is wrong, and the others' figures are not lost with it.
fn or_note<T: Default>(what: &str, outcome: anyhow::Result<T>, violations: &mut Vec<String>) -> T {
    outcome.unwrap_or_else(|error| {
        violations.push(format!("the experiment {what} failed: {error:#}"));
        T::default()
    })
}

/// Says on standard error what is going on, so that the report on standard output stays clean.
fn progress(what: &str) {
    eprintln!("... {what}");
}
