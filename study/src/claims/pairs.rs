//! Two styles beside each other, as several claims compare them.

use super::claim::Finding;
use crate::figures::units::{ratio, short};
use crate::figures::{Report, StyleFigures};

/// Differences below this part of a figure are those between two runs of the same.
pub(super) const NOISE: f64 = 0.05;

/// The one of which something is claimed, and the one that it is compared with.
pub(super) type Pair<'a> = (&'a StyleFigures, &'a StyleFigures);

/// Where the curves of throughput cross: the fewest orders in flight from which on the first of a pair is faster.
pub(super) fn faster_loaded(report: &Report, pairs: Vec<Pair<'_>>) -> Vec<Finding> {
    let of = |style: &StyleFigures, in_flight: usize| {
        let run = style.throughput_at(in_flight)?;
        if report.has_ratios() { run.of_limit() } else { run.rate() }
    };
    let say = if report.has_ratios() { ratio } else { short };
    let judge = |(one, other): Pair<'_>| {
        let mut both: Vec<(usize, f64, f64)> = one
            .throughput
            .iter()
            .filter_map(|run| Some((run.in_flight, of(one, run.in_flight)?, of(other, run.in_flight)?)))
            .collect();
        both.sort_by_key(|it| it.0);
        let &(most, ahead, behind) = both.last()?;
        let faster = |it: &&(usize, f64, f64)| it.1 > (1.0 + NOISE) * it.2;
        let since = both.iter().rev().take_while(faster).last();
        let crossover =
            since.map_or("never ahead for good".to_owned(), |it| format!("ahead from {} in flight", it.0));
        let figures = format!(
            "{} against {}: {crossover}, {} against {} at {most}",
            one.style,
            other.style,
            say(ahead),
            say(behind)
        );
        Some(Finding::new(since.is_some(), figures))
    };
    pairs.into_iter().filter_map(judge).collect()
}
