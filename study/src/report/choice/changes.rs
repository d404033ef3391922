//! What would change the answer: a need that weighs more than all the others, and whom it would choose.

use lab::styles::Features;

use super::judgement::Judgement;
use crate::figures::units::{self, list};
use crate::figures::{OutageFigures, Report};

/// A need, and what follows from it.
#[derive(Debug)]
pub(crate) struct Change {
    /// "If ..."
    pub(crate) condition: String,
    /// "then ..."
    pub(crate) then: String,
    /// Whether it leads to another style than the figures alone.
    pub(crate) differs: bool,
}

/// From which part of the orders on a style counts as one that takes them.
const TAKES_THEM: f64 = 0.95;

/// Every need of which the figures say something.
pub(super) fn changes(report: &Report, judgements: &[Judgement], adequate: &[String]) -> Vec<Change> {
    let weighty = judgements.iter().filter(|it| it.decides()).map(|it| weighs_most(it, adequate));
    let outages = report.parts_taken_away();
    let outages = outages.iter().filter_map(|part| must_be_taken(report, part, adequate));
    let without = [
        without(report, "no message broker can be operated", Features::has_messages, adequate),
        without(report, "no service may keep a copy of what another owns", |it| it.has_replicas, adequate),
    ];
    weighty.chain(outages).chain(without.into_iter().flatten()).collect()
}

fn weighs_most(judgement: &Judgement, adequate: &[String]) -> Change {
    let worst = adequate
        .iter()
        .filter(|style| !judgement.best.contains(style))
        .filter_map(|style| Some((style, judgement.behind(style)?)))
        .max_by(|a, b| a.1.total_cmp(&b.1));
    let than = worst
        .map_or(String::new(), |(style, factor)| format!(", {} better than {style}", units::times(factor)));
    Change {
        condition: format!("{} decides alone", judgement.criterion.short),
        then: format!("{}{than}", list(&judgement.best)),
        differs: differs(&judgement.best, adequate),
    }
}

/// Which styles go on taking orders without `part`. One that has no broker does not miss it.
fn must_be_taken(report: &Report, part: &str, adequate: &[String]) -> Option<Change> {
    let mut takes = Vec::new();
    let mut figures = Vec::new();
    for style in &report.styles {
        let needless = part == "broker" && style.features().is_some_and(|features| !features.has_messages());
        let refused = style.outage(part).and_then(OutageFigures::refused_share);
        let (taken, figure) = match refused {
            _ if needless => (1.0, "has none".to_owned()),
            Some(refused) => (1.0 - refused, units::percent(1.0 - refused)),
            None => continue,
        };
        figures.push(format!("{} {figure}", style.style));
        if taken >= TAKES_THEM {
            takes.push(style.style.clone());
        }
    }
    report.styles.iter().any(|style| style.outage(part).is_some()).then(|| {
        let who = if takes.is_empty() { "none of them takes them".to_owned() } else { list(&takes) };
        Change {
            condition: format!("orders must be taken while {} is away", named(part)),
            then: format!("{who} (taken: {})", figures.join(", ")),
            differs: !takes.is_empty() && differs(&takes, adequate),
        }
    })
}

/// A part in a sentence.
fn named(part: &str) -> String {
    match part {
        "order" => "the order service".to_owned(),
        "billing" | "notification" => part.to_owned(),
        _ => format!("the {part}"),
    }
}

/// Which of the styles are left that do not need something.
fn without(
    report: &Report,
    condition: &str,
    needs: impl Fn(&Features) -> bool,
    adequate: &[String],
) -> Option<Change> {
    let left: Vec<String> =
        report.styles_that(|it| !needs(it)).iter().map(|style| style.style.clone()).collect();
    (!left.is_empty() && left.len() < report.styles.len()).then(|| Change {
        condition: condition.to_owned(),
        then: list(&left),
        differs: differs(&left, adequate),
    })
}

/// None of the styles that were chosen is among these.
fn differs(chosen: &[String], adequate: &[String]) -> bool {
    !adequate.iter().any(|style| chosen.contains(style))
}
