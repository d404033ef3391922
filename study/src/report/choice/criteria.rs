//! What an architect asks of a style, and the figure that answers.

use crate::figures::units::{self, whole};
use crate::figures::{Report, StyleFigures};
use crate::report::table::Better;

/// A question and its figure.
pub(crate) struct Criterion {
    /// As the page asks it.
    pub(crate) question: &'static str,
    /// As a sentence names it.
    pub(crate) short: &'static str,
    /// How the figure came to be.
    pub(crate) how: &'static str,
    pub(crate) better: Better,
    /// Below this, differences count for nothing.
    pub(crate) fine: f64,
    pub(crate) say: fn(&Report, f64) -> String,
    pub(crate) figure: fn(&Report, &StyleFigures) -> Option<f64>,
}

/// All of them; each counts the same.
pub(super) const CRITERIA: &[Criterion] = &[
    Criterion {
        question: "How soon is one client answered?",
        short: "the answer with one order at a time",
        how: "median time of the client's answer, one order at a time",
        better: Better::Less,
        fine: 0.1,
        say: |_, ms| units::ms(ms),
        figure: |_, style| Some(style.latency_at(1)?.answer.p50_ms),
    },
    Criterion {
        question: "How many orders come through?",
        short: "capacity",
        how: "median orders per second at the best number in flight, as a part of the pgbench limit where that was measured",
        better: Better::More,
        fine: 0.01,
        say: |report, rate| {
            if report.has_ratios() {
                format!("{} of the limit", units::ratio(rate))
            } else {
                format!("{} orders/s", units::count(rate))
            }
        },
        figure: |report, style| {
            let best = style.best_throughput()?;
            if report.has_ratios() { best.of_limit() } else { best.rate() }
        },
    },
    Criterion {
        question: "How much do services have to say to each other?",
        short: "requests and messages per order",
        how: "HTTP requests and messages between services for one paid order, from traces",
        better: Better::Less,
        fine: 1.0,
        say: |_, number| units::count(number),
        figure: |_, style| style.is_counted().then(|| whole(style.interactions() as u64)),
    },
    Criterion {
        question: "How much work is an order for the databases?",
        short: "SQL statements per order",
        how: "SQL statements of all services for one paid order, from pg_stat_statements",
        better: Better::Less,
        fine: 1.0,
        say: |_, number| units::count(number),
        figure: |_, style| style.sql_statements(),
    },
    Criterion {
        question: "Are orders taken while a service is away?",
        short: "orders taken while a service is away",
        how: "part of the orders that were not refused while a service other than the gateway was away",
        better: Better::More,
        fine: 0.1,
        say: |_, share| units::percent(share),
        figure: |_, style| {
            let (placed, refused) = style.refused_without_services()?;
            Some(1.0 - whole(refused) / whole(placed))
        },
    },
    Criterion {
        question: "Is what a service knows ever old?",
        short: "age of what services know",
        how: "the time within which 99 of 100 profile changes have reached every replica; 0 where owners are asked instead",
        better: Better::Less,
        fine: 1.0,
        say: |_, ms| if ms > 0.0 { units::ms(ms) } else { "no delay".to_owned() },
        figure: staleness,
    },
    Criterion {
        question: "What does it cost while nobody wants anything?",
        short: "processor time at idle",
        how: "processor time of all processes per second with nothing to do, the broker included if it is one of them",
        better: Better::Less,
        fine: 0.5,
        say: |_, ms| format!("{}/s", units::ms(ms)),
        figure: |_, style| style.idle.as_ref().map(crate::figures::IdleFigures::cpu),
    },
];

/// Of a style without replicas only if it was measured elsewhere: else there is nothing to hold it against.
fn staleness(report: &Report, style: &StyleFigures) -> Option<f64> {
    if let Some(freshness) = &style.freshness {
        return freshness.replica_behind.values().map(|behind| behind.p99_ms).max_by(f64::total_cmp);
    }
    let measured_elsewhere = report.styles.iter().any(|other| other.freshness.is_some());
    let asks_owners = style.features().is_some_and(|features| !features.has_replicas);
    (measured_elsewhere && asks_owners).then_some(0.0)
}
