//! `report.html`: one page that asks for nothing from anywhere, filled from the figures.

use askama::Template;

use super::choice::{self, Choice};
use super::sections::{self, Body, Section};
use super::sequence::Sequence;
use super::table::Table;
use super::walk::{self, Excerpt};
use crate::claims;
use crate::figures::units;
use crate::figures::{ClaimFigures, MistakeFigures, Report, StyleFigures, Verdict, left_out};

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    report: &'a Report,
    styles: Vec<&'a str>,
    choice: Choice,
    sections: Vec<Section>,
    diagrams: Vec<Diagram<'a>>,
    /// What was not measured, in one line.
    left_out: Option<String>,
    /// Those that were looked at.
    claims: Vec<Claim<'a>>,
    mistakes: &'a [MistakeFigures],
    walk: Vec<Step>,
    setup: Section,
}

/// A sequence diagram.
struct Diagram<'a> {
    style: &'a str,
    /// Of the style, in the registry.
    place: usize,
    svg: String,
    made: String,
}

/// A claim and who makes it.
struct Claim<'a> {
    figures: &'a ClaimFigures,
    verdict: &'static str,
    source: &'static str,
}

/// A step of the code walk: what each style does in it.
struct Step {
    title: &'static str,
    about: &'static str,
    styles: Vec<(String, Vec<Result<Excerpt, String>>)>,
}

/// The page.
///
/// # Errors
/// If a plot cannot be drawn.
pub(super) fn render(report: &Report) -> anyhow::Result<String> {
    let judged = report.claims.iter().filter(|claim| claim.verdict != Verdict::NotMeasured);
    let page = Page {
        report,
        styles: report.styles.iter().map(|style| style.style.as_str()).collect(),
        choice: choice::choose(report),
        sections: sections::sections(report)?,
        diagrams: diagrams(report)?,
        left_out: left_out::line(report),
        claims: judged.map(Claim::of).collect(),
        mistakes: &report.mistakes,
        walk: walk::STEPS.iter().map(|step| Step::of(step, report)).collect(),
        setup: sections::setup(report),
    };
    Ok(page.render()?)
}

/// Of each style of which an order was traced.
fn diagrams(report: &Report) -> anyhow::Result<Vec<Diagram<'_>>> {
    let sequences = report.styles.iter().map(|style| (style, Sequence::of(&style.trace))).enumerate();
    let traced = sequences.filter(|(_, (_, sequence))| !sequence.arrows.is_empty());
    traced.map(|(place, (style, sequence))| Diagram::of(place, style, &sequence)).collect()
}

impl<'a> Diagram<'a> {
    fn of(place: usize, style: &'a StyleFigures, sequence: &Sequence) -> anyhow::Result<Self> {
        let (spans, style) = (style.trace.len(), style.style.as_str());
        let about = format!("One paid order in {style}: {} arrows in time order", sequence.arrows.len());
        let svg = sequence.svg(&about)?;
        let made = format!(
            "One paid order, from the {spans} spans of its trace; times are from the client's request. The same as Mermaid is in \
             sequence-{style}.mmd."
        );
        Ok(Self { style, place, svg, made })
    }
}

impl<'a> Claim<'a> {
    fn of(figures: &'a ClaimFigures) -> Self {
        let source = claims::source(&figures.id).unwrap_or_default();
        Self { figures, verdict: claims::in_words(figures.verdict), source }
    }
}

impl Step {
    fn of(step: &walk::Step, report: &Report) -> Self {
        Self { title: step.title, about: step.about, styles: step.excerpts(report) }
    }
}

impl Page<'_> {
    /// Made when, on what: in one line.
    fn origin(&self) -> String {
        let setup = &self.report.setup;
        format!(
            "{} on {}, {} cores; {}; {}",
            self.report.made_at.format("%Y-%m-%d"),
            setup.machine,
            setup.cores,
            setup.postgres,
            setup.broker
        )
    }

    /// The answer to "which style", as a heading.
    fn answer(&self) -> String {
        match self.choice.adequate.as_slice() {
            [] => "These figures choose no style".to_owned(),
            [one] => one.clone(),
            several => units::list(several),
        }
    }

    /// The place of a style's colour; `None` for a head of another kind.
    fn place(&self, head: &str) -> Option<usize> {
        self.styles.iter().position(|style| *style == head)
    }

    /// Whether the columns are styles.
    fn has_styles(&self, table: &Table) -> bool {
        table.head.last().is_some_and(|head| self.place(head).is_some())
    }

    /// A count in groups of three digits.
    fn number(number: u64) -> String {
        units::count(units::whole(number))
    }

    /// What a comparison's damage comes to.
    fn damage(damage: &std::collections::BTreeMap<String, u64>) -> u64 {
        damage.values().sum()
    }
}
