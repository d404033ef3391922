//! What a report has no figures of, said once and with the command that measures it.

use super::{Report, StyleFigures};

/// The command that measures everything.
const COMMAND: &str = "cargo run --release -- --full";

/// What can be missing, and whether a report has it.
type Experiment = (&'static str, fn(&Report) -> bool);

const EXPERIMENTS: [Experiment; 10] = [
    ("what an order costs", |report| any(report, StyleFigures::is_counted)),
    ("how long an order takes", |report| any(report, |style| !style.latency.is_empty())),
    ("throughput", |report| any(report, |style| !style.throughput.is_empty())),
    ("other loads", |report| !report.quick),
    ("what a style costs at idle", |report| any(report, |style| style.idle.is_some())),
    ("what happens while a part is away", |report| any(report, |style| !style.availability.is_empty())),
    ("who chooses between two instances", |report| {
        report.styles_that(|it| it.orchestrates).is_empty()
            || any(report, |style| !style.discovery.is_empty())
    }),
    ("a sale with more buyers than seats", |report| {
        report.styles_that(|it| it.has_bookings).is_empty() || any(report, |style| style.bookings.is_some())
    }),
    ("how old replicas are", |report| {
        report.styles_that(|it| it.has_replicas).is_empty() || any(report, |style| style.freshness.is_some())
    }),
    ("mistakes on purpose", |report| !report.mistakes.is_empty()),
];

fn any(report: &Report, has: impl Fn(&StyleFigures) -> bool) -> bool {
    report.styles.iter().any(has)
}

/// One line about all that was not measured, in any style; `None` if nothing was left out.
pub fn line(report: &Report) -> Option<String> {
    let missing: Vec<&str> =
        EXPERIMENTS.iter().filter(|(_, has)| !has(report)).map(|(name, _)| *name).collect();
    (!missing.is_empty()).then(|| format!("Left out: {}. `{COMMAND}` measures them.", missing.join(", ")))
}
