//! What clients see while a part is away, and what is left of it.

use super::section::{Body, Key, Part, Section};
use crate::figures::units::{self, count, whole};
use crate::figures::{OutageFigures, Report};
use crate::report::plots::{self, KINDS};
use crate::report::table::{Cell, Row, Table};

pub(super) fn section(report: &Report) -> anyhow::Result<Section> {
    let parts = report.parts_taken_away();
    let parts =
        if parts.is_empty() { Vec::new() } else { vec![timelines(report, &parts)?, counts(report, &parts)] };
    Ok(Section { id: "availability", title: "While a part is away", parts })
}

/// Every outage, part by part, with the name of its style.
fn outages<'a>(report: &'a Report, parts: &[&'a str]) -> Vec<(&'a str, &'a OutageFigures)> {
    let of = |part: &&'a str| {
        report
            .styles
            .iter()
            .filter_map(|style| Some((style.style.as_str(), style.outage(part)?)))
            .collect::<Vec<_>>()
    };
    parts.iter().flat_map(of).collect()
}

fn timelines(report: &Report, parts: &[&str]) -> anyhow::Result<Part> {
    let outages = outages(report, parts);
    let answers = || outages.iter().flat_map(|(_, outage)| &outage.timeline);
    if answers().next().is_none() {
        return Ok(Part::absent("What clients saw", "This run kept no answers one by one."));
    }
    let times = || answers().map(|answer| answer.placed_at_s);
    let ends = (times().fold(0.0, f64::min), times().fold(1.0, f64::max));
    let slowest = answers().map(|answer| answer.answered_after_ms).fold(0.0, f64::max);
    let drawn = outages.iter().filter(|(_, outage)| !outage.timeline.is_empty());
    let plots = drawn.map(|(style, outage)| {
        plots::timeline(format!("{style} without {}", outage.part), outage, ends, slowest)
    });
    let legend = KINDS
        .iter()
        .map(|&(colour, mark, text)| Key { colour: colour.to_owned(), mark, text: text.to_owned() })
        .chain([Key { colour: "away".to_owned(), mark: "■", text: "the part is away".to_owned() }]);
    let away: Vec<f64> = outages.iter().map(|(_, outage)| outage.away_s).collect();
    let away = away.iter().copied().fold(0.0, f64::max);
    let made = format!(
        "Each mark is an order: where it was placed, as high as its answer took. The part was stopped, was away for up to {}, \
         and came back; the axes are the same in all plots.",
        units::seconds(away)
    );
    let body = Body::Plots(plots.collect::<anyhow::Result<_>>()?);
    Ok(Part::new("What clients saw", body, made).with_legend(legend.collect()))
}

fn counts(report: &Report, parts: &[&str]) -> Part {
    let head = [
        "style",
        "away for",
        "orders",
        "paid at once",
        "accepted",
        "refused",
        "answered late",
        "finished afterwards",
        "lost",
        "charged twice",
        "emailed twice",
        "consistent after",
    ];
    let mut last = "";
    let rows = outages(report, parts).into_iter().map(|(style, outage)| {
        let number = |number: u64| Cell::text(count(whole(number)));
        let cells = vec![
            Cell::text(style),
            Cell::text(units::seconds(outage.away_s)),
            number(outage.placed),
            number(outage.paid_at_once),
            number(outage.accepted),
            number(outage.refused),
            number(outage.answered_late),
            number(outage.finished_after_recovery),
            Cell::harm(outage.lost),
            Cell::harm(outage.charged_twice),
            Cell::harm(outage.emailed_twice),
            Cell::text(units::seconds(outage.consistent_after_s)),
        ];
        let again = last == outage.part;
        last = &outage.part;
        Row::new(&outage.part, cells).again(again)
    });
    let made = "Orders placed while the part was away: answered with 201, with 202, with 503 or not at all; late is after \
                more than a second. Consistent is when the checker has nothing to say any more, counted from the part's return.";
    Part::new(
        "What became of the orders",
        Body::Table(Table::new("without", head).with(rows.collect::<Vec<_>>())),
        made,
    )
}
