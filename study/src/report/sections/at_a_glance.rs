//! All styles side by side: the figures by which one chooses.

use super::section::{Body, Part, Section, names, row};
use crate::figures::units::{self, count, whole};
use crate::figures::{IdleFigures, LatencyFigures, Limit, Load, Report, StyleFigures};
use crate::report::table::{Better, Cell, Row, Table};

pub(super) fn section(report: &Report) -> Section {
    let rows = [time(report), work(report), faults(report), rest(report)].into_iter().flatten();
    let table = Table::new("", names(report)).with(rows.filter(Row::is_measured));
    let made = "The best of each row is marked; bars are in proportion to the longest of their row. How each figure came to be \
                stands under its own section below.";
    let part = Part::new("", Body::Table(table), made);
    Section { id: "at-a-glance", title: "At a glance", parts: vec![part] }
}

/// The most clients at a time for which every style has figures.
fn busiest(report: &Report) -> Option<usize> {
    let of = |style: &StyleFigures| -> Vec<usize> {
        let closed = style.latency.iter().filter_map(|latency| match latency.load {
            Load::Closed { in_flight } => Some(in_flight),
            Load::Open { .. } => None,
        });
        closed.collect()
    };
    let first = report.styles.first().map(of).unwrap_or_default();
    let common = first.into_iter().filter(|it| report.styles.iter().all(|style| of(style).contains(it)));
    common.filter(|clients| *clients > 1).max()
}

fn time(report: &Report) -> Vec<Row> {
    let alone = |of: fn(&LatencyFigures) -> f64| move |style: &StyleFigures| style.latency_at(1).map(of);
    let mut rows = vec![
        row(report, "Client's answer", alone(|it| it.answer.p50_ms), units::ms, Better::Less)
            .note("median, one order at a time"),
        row(report, "Order decided", alone(|it| it.terminal.p50_ms), units::ms, Better::Less).inner(),
        row(report, "Email out", alone(|it| it.email.p50_ms), units::ms, Better::Less).inner(),
    ];
    if let Some(clients) = busiest(report) {
        let answer = |style: &StyleFigures| Some(style.latency_at(clients)?.answer.p99_ms);
        let note = format!("one in a hundred takes longer, {clients} in flight");
        rows.push(row(report, "Client's answer under load", answer, units::ms, Better::Less).note(note));
    }
    let capacity = |style: &StyleFigures| style.best_throughput()?.rate();
    let limit = report.limit.as_ref().and_then(Limit::rate);
    let note = match (limit, &report.setup.without_limit) {
        (Some(limit), _) => format!("orders per second; PostgreSQL alone: {}", count(limit)),
        (None, Some(why)) => format!("orders per second; PostgreSQL alone: {why}"),
        (None, None) => "orders per second".to_owned(),
    };
    rows.push(row(report, "Capacity", capacity, count, Better::More).note(note));
    if report.has_ratios() {
        let ratio = |style: &StyleFigures| style.best_throughput()?.of_limit();
        rows.push(row(report, "as a part of PostgreSQL alone", ratio, units::ratio, Better::More).inner());
    }
    rows
}

fn work(report: &Report) -> Vec<Row> {
    let counted =
        |of: fn(&StyleFigures) -> f64| move |style: &StyleFigures| style.is_counted().then(|| of(style));
    let cpu = |style: &StyleFigures| Some(style.best_throughput()?.cpu_ms()).filter(|ms| *ms > 0.0);
    vec![
        row(
            report,
            "HTTP requests per order",
            counted(|it| whole(it.cost.http_requests.1 as u64)),
            count,
            Better::Less,
        )
        .note("between services"),
        row(report, "RPCs per order", counted(|it| whole(it.cost.rpcs.1 as u64)), count, Better::Less)
            .note("between services"),
        row(
            report,
            "Messages per order",
            counted(|it| whole(it.cost.messages.1 as u64)),
            count,
            Better::Less,
        ),
        row(report, "Bytes per order", counted(|it| it.cost.bytes), count, Better::Less)
            .note("requests, answers and messages"),
        row(report, "SQL statements per order", StyleFigures::sql_statements, count, Better::Less),
        row(report, "Processor time per order", cpu, units::ms, Better::Less)
            .note("all processes, at capacity"),
    ]
}

fn faults(report: &Report) -> Vec<Row> {
    let mut rows = Vec::new();
    let taken_away = report.parts_taken_away();
    for part in ["billing", "notification", "broker"].into_iter().filter(|part| taken_away.contains(part)) {
        let refused = |style: &StyleFigures| style.outage(part)?.refused_share();
        let mut row = row(report, format!("Refused without {part}"), refused, units::percent, Better::Less);
        for (cell, style) in row.cells.iter_mut().zip(&report.styles) {
            if part == "broker" && style.features().is_some_and(|features| !features.has_messages()) {
                *cell = Cell::text("has none");
            }
        }
        rows.push(if rows.is_empty() { row.note("part of the orders placed while it is away") } else { row });
    }
    let harm = |style: &StyleFigures| {
        if style.availability.is_empty() { Cell::absent() } else { Cell::harm(style.harmed()) }
    };
    rows.push(
        Row::new("Lost or charged twice", report.styles.iter().map(harm).collect())
            .note("orders, over all outages"),
    );
    rows
}

fn rest(report: &Report) -> Vec<Row> {
    let age = |style: &StyleFigures| match &style.freshness {
        Some(freshness) => {
            let slowest = freshness.replica_behind.values().map(|it| it.p99_ms).max_by(f64::total_cmp);
            slowest.map_or_else(Cell::absent, |slowest| Cell::text(units::ms(slowest)))
        }
        None if style.features().is_some_and(|features| !features.has_replicas) => Cell::text("no replicas"),
        None => Cell::absent(),
    };
    let idle = |style: &StyleFigures| style.idle.as_ref().map(IdleFigures::cpu);
    let memory = |style: &StyleFigures| {
        let idle = style.memory.values().map(|memory| memory.idle_bytes);
        (!style.memory.is_empty()).then(|| idle.sum())
    };
    let verdict = |style: &StyleFigures| match style.violations.len() {
        0 => Cell::text("holds"),
        found => Cell { text: units::plural(found as u64, "violation"), alarm: true, ..Cell::default() },
    };
    let ages = report.styles.iter().any(|style| style.freshness.is_some()).then(|| {
        Row::new("Replicas are behind by", report.styles.iter().map(age).collect())
            .note("99 of 100 changes have arrived within")
    });
    let others = [
        row(report, "Processor time at idle", idle, |ms| format!("{}/s", units::ms(ms)), Better::Less)
            .note("all processes"),
        row(report, "Memory of the services", memory, units::megabytes, Better::Less).note("at idle"),
        row(report, "Ready after", |it| Some(it.ready_after_s), units::seconds, Better::Less),
        Row::new("Consistency", report.styles.iter().map(verdict).collect()).note("what the checker says"),
    ];
    ages.into_iter().chain(others).collect()
}
