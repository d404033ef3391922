//! What a style costs while nobody wants anything, and its memory.

use std::collections::{BTreeMap, BTreeSet};

use super::section::{Body, Part, Section, names, row};
use crate::figures::units::{self, list, short};
use crate::figures::{IdleFigures, Report, StyleFigures};
use crate::report::table::{Better, Cell, Row, Table};

/// What is counted, who does it, and in which unit.
type Rate = (&'static str, fn(&IdleFigures) -> &BTreeMap<String, f64>, fn(f64) -> String);

const RATES: [Rate; 5] = [
    ("Processor time, ms per second", |idle| &idle.cpu_ms_per_s, short),
    ("SQL statements per second", |idle| &idle.sql_statements_per_s, short),
    ("HTTP requests per second", |idle| &idle.http_requests_per_s, short),
    ("RPCs per second", |idle| &idle.rpcs_per_s, short),
    ("Requests to the broker per second", |idle| &idle.broker_requests_per_s, short),
];

pub(super) fn section(report: &Report) -> Section {
    let mut parts = Vec::new();
    if report.styles.iter().any(|style| style.idle.is_some()) {
        parts.push(rates(report));
    }
    if report.styles.iter().any(|style| !style.memory.is_empty()) {
        parts.push(memory(report));
    }
    Section { id: "idle", title: "Idle cost", parts }
}

fn rates(report: &Report) -> Part {
    let mut table = Table::new("", names(report));
    for (label, of, say) in RATES {
        let figures = |style: &StyleFigures| style.idle.as_ref().map(of).cloned();
        let sum = |style: &StyleFigures| figures(style).map(|it| it.values().sum());
        table.rows.push(row(report, label, sum, say, Better::Less));
        let who: BTreeSet<String> =
            report.styles.iter().filter_map(figures).flat_map(BTreeMap::into_keys).collect();
        for name in who {
            let cell = |style: &StyleFigures| match figures(style) {
                None => Cell::absent(),
                Some(figures) => {
                    figures.get(&name).map_or_else(Cell::none, |figure| Cell::text(say(*figure)))
                }
            };
            table.rows.push(Row::new(&name, report.styles.iter().map(cell).collect()).inner());
        }
    }
    let watched: Vec<String> = report
        .styles
        .iter()
        .filter_map(|style| {
            Some(format!("{} for {}", style.style, units::seconds(style.idle.as_ref()?.watched_s)))
        })
        .collect();
    let made =
        format!("Watched with nothing to do: {}. The sum of each kind, then by who it is.", list(&watched));
    Part::new("With nothing to do", Body::Table(table), made)
}

fn memory(report: &Report) -> Part {
    let services: BTreeSet<&String> = report.styles.iter().flat_map(|style| style.memory.keys()).collect();
    let rows = services.into_iter().map(|service| {
        let cell = |style: &StyleFigures| {
            style.memory.get(service).map_or_else(Cell::absent, |memory| {
                let (idle, peak) = (units::megabytes(memory.idle_bytes), units::megabytes(memory.peak_bytes));
                Cell::text(format!("{idle} / {peak}"))
            })
        };
        Row::new(service, report.styles.iter().map(cell).collect())
    });
    let made = "Resident memory of each service: once it is ready, and the most that it ever had up to the end of the \
                throughput runs.";
    Part::new("Memory, at idle and at most", Body::Table(Table::new("", names(report)).with(rows)), made)
}
