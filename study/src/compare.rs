//! `study compare`: the scenario over every style, then what it costs, printed so that a person can read it.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use sandbox::Sandbox;

use crate::client::Api;
use crate::deployment::{Deployment, Ground, Options, SANDBOX_SETTINGS, Service};
use crate::scenario::{self, Step};
use crate::styles::{STYLES, Style};
use crate::{Checker, Violation};

/// Orders before and while the latency is measured, one at a time.
const WARM_UP_ORDERS: usize = 50;
const MEASURED_ORDERS: usize = 300;
/// How long everything may take to come to rest.
const REST_MAX: Duration = Duration::from_secs(15);

/// What was found about one style.
struct Finding {
    style: &'static Style,
    ready_after: Duration,
    steps: Vec<Step>,
    latency: Latency,
    memory: Vec<Memory>,
    violations: Vec<Violation>,
}

/// From the request of an order to its answer, one order at a time.
struct Latency {
    p50: Duration,
    p99: Duration,
}

/// Resident memory of one service.
struct Memory {
    service: Service,
    idle_bytes: f64,
    peak_bytes: f64,
}

/// Runs the comparison and prints it. `false`: something was not as expected.
pub(crate) async fn compare() -> anyhow::Result<bool> {
    progress("starting the sandbox");
    let started = Instant::now();
    let sandbox = Sandbox::start().await?;
    let took = started.elapsed().as_secs_f64();
    println!(
        "sandbox     {}, SMTP at {}, up in {took:.2} s",
        sandbox.postgres.describe(),
        sandbox.smtp.url()
    );
    let settings: Vec<String> =
        SANDBOX_SETTINGS.iter().map(|(name, value)| format!("{name}={value}")).collect();
    println!("settings    {}", settings.join(" "));
    let mut findings = Vec::new();
    for style in STYLES {
        findings.push(examine(style, &sandbox).await?);
    }
    sandbox.stop().await?;
    print_summary(&findings);
    Ok(findings.iter().all(|finding| finding.violations.is_empty() && failed(&finding.steps) == 0))
}

async fn examine(style: &'static Style, sandbox: &Sandbox) -> anyhow::Result<Finding> {
    progress(&format!("starting {}", style.name));
    let started = Instant::now();
    let deployment = Deployment::start(style, Ground::of(sandbox), Options::default()).await?;
    let ready_after = started.elapsed();
    let api = Api::new(deployment.gateway().clone());
    let idle = resident_memory(&deployment).await?;

    println!("\n{}: the scenario at {}", style.name, deployment.gateway());
    let steps = scenario::run(&api, deployment.mailbox(), print_step).await?;
    print_mailbox(&deployment)?;

    progress(&format!("{}: {} orders, one at a time", style.name, WARM_UP_ORDERS + MEASURED_ORDERS));
    let latency = measure_latency(&api).await?;
    let after = resident_memory(&deployment).await?;
    let memory = idle
        .into_iter()
        .zip(after)
        .map(|((service, now, _), (_, _, peak))| Memory { service, idle_bytes: now, peak_bytes: peak })
        .collect();

    progress(&format!("{}: consistency", style.name));
    let violations = Checker::new(&deployment.addresses)?.at_rest(&api.acknowledged(), REST_MAX).await?;
    deployment.stop().await?;
    Ok(Finding { style, ready_after, steps, latency, memory, violations })
}

async fn measure_latency(api: &Api) -> anyhow::Result<Latency> {
    let user = api.create_user_with(i64::from(u32::MAX)).await?;
    let mut elapsed = Vec::with_capacity(MEASURED_ORDERS);
    for number in 0..WARM_UP_ORDERS + MEASURED_ORDERS {
        let reply = api.order(user, 1, &[]).await?;
        anyhow::ensure!(
            reply.status == reqwest::StatusCode::CREATED,
            "order {number}: {} {}",
            reply.status,
            reply.body
        );
        if number >= WARM_UP_ORDERS {
            elapsed.push(reply.elapsed);
        }
    }
    elapsed.sort_unstable();
    let at = |quantile: usize| elapsed[(MEASURED_ORDERS - 1) * quantile / 100];
    Ok(Latency { p50: at(50), p99: at(99) })
}

/// Every service's resident memory, present and peak, in bytes, as its `/metrics` tells.
async fn resident_memory(deployment: &Deployment) -> anyhow::Result<Vec<(Service, f64, f64)>> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let mut all = Vec::new();
    for service in Service::ALL {
        let text = http.get(deployment.url(service).join("metrics")?).send().await?.text().await?;
        let metric = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(&format!("{name}{{")));
            line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(f64::NAN)
        };
        all.push((
            service,
            metric("process_resident_memory_bytes"),
            metric("process_resident_memory_peak_bytes"),
        ));
    }
    Ok(all)
}

fn print_step(step: &Step) {
    let verdict = if step.failure.is_none() { "ok  " } else { "FAIL" };
    println!("  {verdict} {:<32} {:>8.1} ms", step.name, step.elapsed.as_secs_f64() * 1e3);
    println!("         {}", step.request);
    println!("         {}", step.answer);
    if let Some(failure) = &step.failure {
        println!("         {failure}");
    }
}

fn print_mailbox(deployment: &Deployment) -> anyhow::Result<()> {
    let Some(mailbox) = deployment.mailbox() else {
        println!("  the mailbox of SMTP_URL cannot be read from here");
        return Ok(());
    };
    println!("  mailbox");
    for mail in mailbox.messages().context("reading the mailbox")? {
        println!(
            "         {} to {}: {} <{}>",
            mail.sequence,
            mail.to.join(", "),
            mail.subject,
            mail.message_id
        );
    }
    Ok(())
}

fn print_summary(findings: &[Finding]) {
    println!("\nsummary");
    for Finding { style, ready_after, steps, latency, memory, violations } in findings {
        println!("  {}", style.name);
        println!(
            "    scenario             {} of {} steps as expected",
            steps.len() - failed(steps),
            steps.len()
        );
        println!("    ready after          {:.2} s from starting the services", ready_after.as_secs_f64());
        println!(
            "    POST /orders         p50 {:.2} ms, p99 {:.2} ms, one at a time, {MEASURED_ORDERS} orders after {WARM_UP_ORDERS}",
            latency.p50.as_secs_f64() * 1e3,
            latency.p99.as_secs_f64() * 1e3
        );
        for Memory { service, idle_bytes, peak_bytes } in memory {
            println!(
                "    {:<20} {:.1} MB resident when idle, {:.1} MB at most",
                service.name(),
                idle_bytes / 1e6,
                peak_bytes / 1e6
            );
        }
        println!(
            "    consistency          {}",
            if violations.is_empty() { "all invariants hold" } else { "VIOLATED" }
        );
        for violation in violations {
            println!("      {violation}");
        }
    }
}

fn failed(steps: &[Step]) -> usize {
    steps.iter().filter(|step| step.failure.is_some()).count()
}

/// Says on standard error what is going on, so that the report on standard output stays clean.
fn progress(what: &str) {
    eprintln!("... {what}");
    let _ = std::io::stdout().flush();
}
