//! What a section is made of, and what several of them show in the same way.

use crate::figures::{Load, Report, StyleFigures, units};
use crate::report::plots::Plot;
use crate::report::table::{Better, Row, Table};

/// A section of the page.
pub(crate) struct Section {
    /// Where links lead to.
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    /// None of them: nothing of it was measured, and the page does not show it.
    pub(crate) parts: Vec<Part>,
}

/// A table or plots, with what has to be known to read them.
pub(crate) struct Part {
    pub(crate) title: String,
    pub(crate) body: Body,
    /// What colours mean.
    pub(crate) legend: Vec<Key>,
    /// Which experiment it comes from.
    pub(crate) made: String,
}

/// What a part shows.
pub(crate) enum Body {
    Table(Table),
    /// Side by side, as many as there is room for.
    Plots(Vec<Plot>),
    /// What the figures say, in a sentence.
    Text(String),
    /// There are no figures, and why.
    Absent(String),
}

/// A colour or a mark, and what it stands for.
pub(crate) struct Key {
    /// The colour's name in the style sheet.
    pub(crate) colour: String,
    pub(crate) mark: &'static str,
    pub(crate) text: String,
}

impl Part {
    pub(super) fn new(title: impl Into<String>, body: Body, made: impl Into<String>) -> Self {
        Self { title: title.into(), body, legend: Vec::new(), made: made.into() }
    }

    pub(super) fn absent(title: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(title, Body::Absent(why.into()), "")
    }

    pub(super) fn with_legend(mut self, legend: Vec<Key>) -> Self {
        self.legend = legend;
        self
    }
}

/// The styles' names, as heads of columns.
pub(super) fn names(report: &Report) -> impl Iterator<Item = &str> {
    report.styles.iter().map(|style| style.style.as_str())
}

/// A figure of each style.
pub(super) fn row(
    report: &Report,
    label: impl Into<String>,
    figure: impl Fn(&StyleFigures) -> Option<f64>,
    say: impl Fn(f64) -> String,
    better: Better,
) -> Row {
    let figures: Vec<Option<f64>> = report.styles.iter().map(figure).collect();
    Row::figures(label, &figures, say, better)
}

/// The lines of the styles in a plot.
pub(super) fn style_keys(report: &Report) -> Vec<Key> {
    let key = |(place, name): (usize, &str)| Key {
        colour: format!("style-{}", place % 6),
        mark: "━",
        text: name.to_owned(),
    };
    names(report).enumerate().map(key).collect()
}

/// A load in words.
pub(super) fn in_words(load: &Load) -> String {
    match *load {
        Load::Closed { in_flight: 1 } => "one at a time".to_owned(),
        Load::Closed { in_flight } => format!("{in_flight} in flight"),
        Load::Open { orders_per_s } => format!("{} orders/s due", units::count(orders_per_s)),
    }
}
