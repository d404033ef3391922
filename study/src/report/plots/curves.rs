//! Curves with one line per style: how long orders take, and how many come through.

use std::f64::consts::LOG10_2;

use plotters::element::{Circle, PathElement};
use plotters::series::LineSeries;
use plotters::style::Color as _;

use super::chart::{Axis, FINE, Plot, chart, ink, line, log, style_ink};
use crate::figures::reading::spread;
use crate::figures::units;
use crate::figures::{LatencyFigures, ThroughputFigures};

const SIZE: (u32, u32) = (400, 250);

/// The distribution of answers under one load: each style by its place in the registry. The horizontal axis stretches the slow
/// end, since that is where styles differ: half of it is for the slowest tenth.
///
/// # Errors
/// If there is nothing to draw on.
pub(crate) fn latency(title: String, styles: &[(usize, &LatencyFigures)]) -> anyhow::Result<Plot> {
    // The longest of all is as far away as you like on this axis.
    let shown =
        |it: &LatencyFigures| it.answer.curve.clone().into_iter().filter(|(share, _)| *share <= 0.999);
    let points = || styles.iter().flat_map(|(_, it)| shown(it)).map(|(_, ms)| ms);
    let (least, most) = (points().fold(f64::MAX, f64::min), points().fold(0.0, f64::max));
    let x = Axis {
        range: 0.0..3.0,
        ticks: [(0.0, "0"), (LOG10_2, "50"), (1.0, "90"), (2.0, "99"), (3.0, "99.9")]
            .map(|(at, label)| (at, label.to_owned()))
            .into(),
        title: "per cent of the orders, slowest to the right",
    };
    let y = Axis::log(least, most);
    let svg = chart(&format!("{title}: answer time by percentile"), SIZE, (&x, &y), |chart| {
        for (place, figures) in styles {
            let curve = shown(figures).map(|(share, ms)| (nines(share), log(ms)));
            chart.draw_series(LineSeries::new(curve, line(style_ink(*place))))?;
        }
        Ok(())
    })?;
    Ok(Plot { title, axis: "client's answer, ms".to_owned(), svg })
}

/// 0.9 is 1, 0.99 is 2, and so on: how many nines a share has.
fn nines(share: f64) -> f64 {
    -(1.0 - share).max(1e-3).log10()
}

/// Throughput against the number in flight, as a ratio to the limit if there is one. Each point is the median of its runs,
/// with a line from the least to the most.
///
/// # Errors
/// If there is nothing to draw on.
pub(crate) fn throughput(styles: &[(usize, &[ThroughputFigures])], ratios: bool) -> anyhow::Result<Plot> {
    let of = |run: &ThroughputFigures| if ratios { run.ratio.clone() } else { run.orders_per_s.clone() };
    let runs = || styles.iter().flat_map(|(_, runs)| runs.iter());
    let most = runs().flat_map(of).fold(0.0, f64::max);
    let mut in_flight: Vec<usize> = runs().map(|run| run.in_flight).collect();
    in_flight.sort_unstable();
    in_flight.dedup();
    let at = |run: usize| units::whole(run as u64).max(1.0).log2();
    let ticks: Vec<_> = in_flight.iter().map(|run| (at(*run), run.to_string())).collect();
    let ends = (ticks.first().map_or(0.0, |it| it.0), ticks.last().map_or(1.0, |it| it.0));
    let x = Axis { range: ends.0 - 0.4..ends.1 + 0.4, ticks, title: "orders in flight" };
    let y = Axis::from_zero(most);
    let svg = chart("Throughput against orders in flight", (480, 280), (&x, &y), |chart| {
        if ratios && y.range.end > 1.0 {
            let limit = vec![(x.range.start, 1.0), (x.range.end, 1.0)];
            chart.draw_series(LineSeries::new(limit, ink("ink").stroke_width(FINE)))?;
        }
        for (place, runs) in styles {
            let colour = style_ink(*place);
            let measured = || runs.iter().filter_map(|run| Some((at(run.in_flight), spread(&of(run))?, run)));
            let middle = |run: &ThroughputFigures| {
                if ratios { run.of_limit() } else { run.rate() }.unwrap_or_default()
            };
            chart
                .draw_series(LineSeries::new(measured().map(|(x, _, run)| (x, middle(run))), line(colour)))?;
            chart.draw_series(measured().map(|(x, (least, most), _)| {
                PathElement::new(vec![(x, least), (x, most)], colour.stroke_width(FINE))
            }))?;
            chart.draw_series(
                measured().map(|(x, _, run)| Circle::new((x, middle(run)), 3 * FINE, colour.filled())),
            )?;
        }
        Ok(())
    })?;
    let axis = if ratios { "orders/s, as a part of the pgbench limit" } else { "orders/s" };
    Ok(Plot { title: "Throughput".to_owned(), axis: axis.to_owned(), svg })
}
