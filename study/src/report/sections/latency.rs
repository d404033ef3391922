//! How long an order takes: until the client is answered, until it is decided, until its email is out.

use super::section::{Body, Part, Section, in_words, style_keys};
use crate::figures::units::{self, count, whole};
use crate::figures::{LatencyFigures, Load, Quantiles, Report};
use crate::report::plots::{self, Plot};
use crate::report::table::{Cell, Row, Table};

pub(super) fn section(report: &Report) -> anyhow::Result<Section> {
    let loads = loads(report);
    let parts =
        if loads.is_empty() { Vec::new() } else { vec![curves(report, &loads)?, quantiles(report, &loads)] };
    Ok(Section { id: "latency", title: "Latency", parts })
}

/// Every load, in the order in which the first style that had it did.
fn loads(report: &Report) -> Vec<Load> {
    let mut loads = Vec::new();
    for latency in report.styles.iter().flat_map(|style| &style.latency) {
        if !loads.contains(&latency.load) {
            loads.push(latency.load);
        }
    }
    loads
}

/// The figures under one load, with each style's place.
fn under(report: &Report, load: Load) -> Vec<(usize, &LatencyFigures)> {
    let styles = report.styles.iter().enumerate();
    styles
        .filter_map(|(place, style)| Some((place, style.latency.iter().find(|it| it.load == load)?)))
        .collect()
}

fn curves(report: &Report, loads: &[Load]) -> anyhow::Result<Part> {
    let is_drawn = |load: &&Load| under(report, **load).iter().any(|(_, it)| !it.answer.curve.is_empty());
    let drawn = loads.iter().filter(is_drawn);
    let plots = drawn.map(|load| plots::latency(in_words(load), &under(report, *load)));
    let plots: Vec<Plot> = plots.collect::<anyhow::Result<_>>()?;
    if plots.is_empty() {
        return Ok(Part::absent("Answers, by percentile", "This run kept no distributions."));
    }
    let made = "Each curve is the whole distribution of the client's answers under one load; both axes are logarithmic, the \
                horizontal one in the number of nines.";
    Ok(Part::new("Answers, by percentile", Body::Plots(plots), made).with_legend(style_keys(report)))
}

fn quantiles(report: &Report, loads: &[Load]) -> Part {
    let head = [
        "style",
        "orders",
        "answer p50",
        "p95",
        "p99",
        "decided p50",
        "p95",
        "p99",
        "email p50",
        "p95",
        "p99",
    ];
    let rows = loads.iter().flat_map(|load| {
        under(report, *load).into_iter().enumerate().map(move |(place, (style, latency))| {
            let three =
                |it: &Quantiles| [it.p50_ms, it.p95_ms, it.p99_ms].map(|ms| Cell::text(units::ms(ms)));
            let name = Cell::text(&report.styles[style].style);
            let orders = Cell::text(count(whole(latency.orders)));
            let durations = [&latency.answer, &latency.terminal, &latency.email].into_iter().flat_map(three);
            Row::new(in_words(load), [name, orders].into_iter().chain(durations).collect()).again(place > 0)
        })
    });
    let made = "From the client's request, after a warm-up. The answer is timed by the client; when the order was decided and \
                its email out is what the database says afterwards, by the same machine's clock. Where orders fall due at a \
                rate, each is timed from when it was due (coordinated omission).";
    Part::new("Quantiles", Body::Table(Table::new("load", head).with(rows)), made)
}
