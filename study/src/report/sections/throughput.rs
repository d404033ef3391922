//! How many orders come through, and what they take of the processors.

use std::collections::BTreeSet;

use super::section::{Body, Key, Part, Section, style_keys};
use crate::figures::reading::spread;
use crate::figures::units::{self, count, whole};
use crate::figures::{Report, ThroughputFigures};
use crate::report::plots;
use crate::report::table::{Cell, Row, Table};

pub(super) fn section(report: &Report) -> anyhow::Result<Section> {
    let measured = report.styles.iter().any(|style| style.best_throughput().is_some());
    let parts = if measured { vec![curve(report)?, processors(report)?, runs(report)] } else { Vec::new() };
    Ok(Section { id: "throughput", title: "Throughput", parts })
}

fn curve(report: &Report) -> anyhow::Result<Part> {
    let styles: Vec<(usize, &[ThroughputFigures])> =
        report.styles.iter().enumerate().map(|(place, style)| (place, style.throughput.as_slice())).collect();
    let plot = plots::throughput(&styles, report.has_ratios())?;
    let runs =
        report.styles.iter().flat_map(|style| &style.throughput).map(|run| run.orders_per_s.len()).max();
    let limit = report.limit.as_ref().and_then(|limit| Some((limit, limit.rate()?)));
    let without = report
        .setup
        .without_limit
        .as_ref()
        .map_or_else(String::new, |why| format!(" Nothing says what PostgreSQL alone can do: {why}."));
    let limit = limit.map_or(without, |(limit, rate)| {
        format!(
            " 1 is what pgbench reaches with the four transactions of an order and {} clients on the same server: {} \
             orders/s (median of {} runs between those of the styles).",
            limit.clients,
            count(rate),
            limit.orders_per_s.len(),
        )
    });
    let made = format!(
        "Closed loop: so many clients, each of which asks again as soon as it is answered. A point is the median of {}, its \
         line goes from the least to the most; an order counts when it is decided.{limit} {} of the traces were recorded \
         meanwhile.",
        units::plural(runs.unwrap_or_default() as u64, "run"),
        units::percent(report.setup.traces_sampled),
    );
    Ok(Part::new("Orders in flight", Body::Plots(vec![plot]), made).with_legend(style_keys(report)))
}

fn processors(report: &Report) -> anyhow::Result<Part> {
    let runs = || report.styles.iter().flat_map(|style| &style.throughput);
    let processes: BTreeSet<&String> = runs().flat_map(|run| run.cpu_ms_per_order.keys()).collect();
    if processes.is_empty() {
        return Ok(Part::absent("Processor time per order", "This system does not tell it."));
    }
    let most = runs().map(ThroughputFigures::cpu_ms).fold(0.0, f64::max);
    let plot = |(name, runs): (&String, &Vec<ThroughputFigures>)| {
        let bar = |run: &ThroughputFigures| {
            let part = |process: &&String| run.cpu_ms_per_order.get(*process).copied().unwrap_or_default();
            (run.in_flight.to_string(), processes.iter().map(part).collect())
        };
        let bars: Vec<(String, Vec<f64>)> = runs.iter().map(bar).collect();
        plots::stacked(name.clone(), "processor time of one order, ms", &bars, most, "orders in flight")
    };
    let styles = report.styles.iter().filter(|style| !style.throughput.is_empty());
    let plots = styles.map(|style| plot((&style.style, &style.throughput)));
    let legend = processes.iter().enumerate().map(|(place, process)| Key {
        colour: format!("part-{}", place % 8),
        mark: "■",
        text: (*process).clone(),
    });
    let made = "The same runs: processor time of each process, divided by the orders that were decided.";
    let body = Body::Plots(plots.collect::<anyhow::Result<_>>()?);
    Ok(Part::new("Processor time per order", body, made).with_legend(legend.collect()))
}

fn runs(report: &Report) -> Part {
    let has_ratios = report.has_ratios();
    let of_limit = has_ratios.then_some("of the limit");
    let head = ["in flight", "orders/s", "least to most"].into_iter().chain(of_limit).chain([
        "processor time per order",
        "emails out after",
        "other answers",
    ]);
    let rows = report.styles.iter().flat_map(|style| {
        style.throughput.iter().enumerate().map(move |(place, run)| {
            let range = spread(&run.orders_per_s).map_or_else(Cell::absent, |(least, most)| {
                Cell::text(format!("{} to {}", count(least), count(most)))
            });
            let others: Vec<String> = run
                .other_answers
                .iter()
                .map(|(status, answers)| format!("{} × {status}", count(whole(*answers))))
                .collect();
            let others = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
            let rate = run.rate().map_or_else(Cell::absent, |rate| Cell::text(count(rate)));
            let of_limit = run.of_limit().filter(|_| has_ratios).map(|ratio| Cell::text(units::ratio(ratio)));
            let rest = [
                Cell::text(units::ms(run.cpu_ms())),
                Cell::text(units::seconds(run.emails_drained_after_s)),
                Cell::text(others),
            ];
            let cells = [Cell::text(run.in_flight.to_string()), rate, range].into_iter().chain(of_limit);
            Row::new(&style.style, cells.chain(rest).collect()).again(place > 0)
        })
    });
    let made = "The same runs. Emails drain in batches; their time is that from the end of the load to the last of them. \
                Answers other than 201 are counted by status.";
    Part::new("All runs", Body::Table(Table::new("style", head).with(rows)), made)
}
