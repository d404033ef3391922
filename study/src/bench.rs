//! `study bench`: throughput alone, with its spread, for use while making it faster.

use std::time::Duration;

use anyhow::ensure;
use comfy_table::{CellAlignment, Table, presets};
use lab::checking::Checker;
use lab::driving::Api;
use lab::driving::load;
use lab::running::{Deployment, Ground, Options};
use lab::styles::Style;
use lab::traces::Receiver;
use sandbox::Sandbox;

use crate::experiment::throughput::{self, Bench, Plan};
use crate::figures::ThroughputFigures;
use crate::limit::{self, Limit};

/// How long everything may take to come to rest.
const REST_MAX: Duration = Duration::from_mins(1);

/// How it is measured.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct BenchSettings {
    /// How many clients order at the same time. Each number is a load of its own.
    #[arg(long, value_delimiter = ',', default_value = "16,64,256,512")]
    in_flight: Vec<usize>,
    /// How often all loads are repeated.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long each load is measured, in seconds. A second to warm up comes before it, and two seconds of `pgbench` between loads.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Which share of the traces is recorded, from 0 to 1.
    #[arg(long, default_value_t = 0.01)]
    traces: f64,
    /// Decides which users order.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A setting of the services to try, as `NAME=value`. It may be given several times.
    #[arg(long, value_parser = parse_setting)]
    setting: Vec<(&'static str, String)>,
}

fn parse_setting(text: &str) -> Result<(&'static str, String), String> {
    let (name, value) = text.split_once('=').ok_or("a setting has the form NAME=value")?;
    // For the life of the program, which it is an argument of.
    Ok((name.to_owned().leak(), value.to_owned()))
}

/// Measures `styles` and prints a table. `false`: the checker found something.
pub(crate) async fn bench(styles: &'static [Style], settings: BenchSettings) -> anyhow::Result<bool> {
    ensure!(
        settings.rounds > 0 && settings.in_flight.iter().all(|&clients| clients > 0),
        "there is nothing to measure: --rounds and --in-flight must be at least 1"
    );
    let sandbox = Sandbox::start().await?;
    println!("sandbox     {}, {}", sandbox.postgres.describe(), sandbox.kafka.describe());
    println!("limit       pgbench with {} clients, in turns with the loads", limit::CLIENTS);
    let limit = Limit::prepare(&sandbox.postgres).await?;
    let mut sound = true;
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "style",
        "in flight",
        "orders/s",
        "ratio",
        "least",
        "most",
        "CPU ms/order",
        "of which",
    ]);
    for style in styles {
        eprintln!("... {}", style.name);
        let found = measure(style, &sandbox, &limit, &settings, &mut sound).await?;
        for figures in &found {
            table.add_row(row(style, figures));
        }
    }
    for column in table.column_iter_mut().skip(1).take(6) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}");
    limit.remove().await?;
    sandbox.stop().await?;
    Ok(sound)
}

async fn measure(
    style: &'static Style,
    sandbox: &Sandbox,
    limit: &Limit,
    settings: &BenchSettings,
    sound: &mut bool,
) -> anyhow::Result<Vec<ThroughputFigures>> {
    let receiver = Receiver::start().await?;
    let sampled = ("OTEL_TRACES_SAMPLER_ARG", settings.traces.to_string());
    let options = Options {
        traces: (settings.traces > 0.0).then(|| receiver.endpoint().clone()),
        settings: std::iter::once(sampled).chain(settings.setting.clone()).collect(),
        ..Options::default()
    };
    let deployment = Deployment::start(style, Ground::of(sandbox), options).await?;
    let api = Api::new(deployment.gateway().clone());
    let users = load::create_users(&api).await?;
    let bench =
        Bench { deployment: &deployment, postgres: &sandbox.postgres, limit: Some(limit), api: &api, users };
    let plan = Plan {
        in_flight: settings.in_flight.clone(),
        rounds: settings.rounds,
        warm_up: Duration::from_secs(1),
        measured: Duration::from_secs(settings.seconds),
        limit: Duration::from_secs(2),
        seed: settings.seed,
    };
    let (found, limits) = throughput::measure(&bench, &plan).await?;
    let limits: Vec<String> = limits.iter().map(|limit| format!("{limit:.0}")).collect();
    println!("{}: limits {} orders/s", style.name, limits.join(" "));
    for violation in Checker::new(&deployment.addresses)?.at_rest(&api.acknowledged(), REST_MAX).await? {
        println!("{}: {violation}", style.name);
        *sound = false;
    }
    deployment.stop().await?;
    Ok(found)
}

fn row(style: &Style, figures: &ThroughputFigures) -> Vec<String> {
    let sorted = |values: &[f64]| {
        let mut values = values.to_vec();
        values.sort_unstable_by(f64::total_cmp);
        values
    };
    let (ratios, rates) = (sorted(&figures.ratio), sorted(&figures.orders_per_s));
    let parts: Vec<String> =
        figures.cpu_ms_per_order.iter().map(|(who, ms)| format!("{who} {ms:.2}")).collect();
    let other: Vec<String> =
        figures.other_answers.iter().map(|(status, count)| format!("{count} times {status}")).collect();
    vec![
        style.name.to_owned(),
        figures.in_flight.to_string(),
        format!("{:.0}", rates[rates.len() / 2]),
        format!("{:.3}", ratios[ratios.len() / 2]),
        format!("{:.3}", ratios[0]),
        format!("{:.3}", ratios[ratios.len() - 1]),
        format!("{:.2}", figures.cpu_ms_per_order.values().sum::<f64>()),
        [parts, other].concat().join(", "),
    ]
}
