//! What the figures say to one criterion.

use super::criteria::Criterion;
use crate::figures::units::{self, list};
use crate::figures::{Report, StyleFigures};

/// Two figures that differ by less than this part count as the same: runs of one style differ by as much.
pub(crate) const SAME_WITHIN: f64 = 0.1;

/// One criterion, and what each style's figure is.
pub(crate) struct Judgement {
    pub(crate) criterion: &'static Criterion,
    /// The styles that have a figure, in the report's order.
    pub(crate) scores: Vec<Score>,
    /// The best: more than one if they are the same within [`SAME_WITHIN`]. Empty if fewer than two were measured.
    pub(crate) best: Vec<String>,
}

/// A style's figure, and how it is written.
pub(crate) struct Score {
    pub(crate) style: String,
    pub(crate) figure: f64,
    pub(crate) text: String,
}

impl Judgement {
    pub(super) fn of(criterion: &'static Criterion, report: &Report) -> Self {
        let score = |style: &StyleFigures| {
            let figure = (criterion.figure)(report, style)?;
            Some(Score { style: style.style.clone(), figure, text: (criterion.say)(report, figure) })
        };
        let scores: Vec<Score> = report.styles.iter().filter_map(score).collect();
        let best = criterion.better.best(scores.iter().map(|score| score.figure));
        let best = best.filter(|_| scores.len() > 1).map_or_else(Vec::new, |best| {
            let within = SAME_WITHIN * best.abs().max(criterion.fine);
            let is_best = |score: &&Score| (score.figure - best).abs() <= within;
            scores.iter().filter(is_best).map(|score| score.style.clone()).collect()
        });
        Self { criterion, scores, best }
    }

    /// Whether there is something to compare.
    pub(crate) fn is_answered(&self) -> bool {
        self.scores.len() > 1
    }

    /// Whether the figures tell styles apart.
    pub(crate) fn decides(&self) -> bool {
        !self.best.is_empty() && self.best.len() < self.scores.len()
    }

    pub(super) fn is_best(&self, style: &str) -> bool {
        self.best.iter().any(|best| best == style)
    }

    pub(super) fn score(&self, style: &str) -> Option<&Score> {
        self.scores.iter().find(|score| score.style == style)
    }

    /// How many times better the best is than `style`; `None` where that is no number, as of nothing.
    pub(super) fn behind(&self, style: &str) -> Option<f64> {
        let better = self.criterion.better;
        let best = better.best(self.scores.iter().map(|score| score.figure))?;
        let factor = better.factor(best, self.score(style)?.figure);
        factor.is_finite().then_some(factor)
    }

    /// What the figures say, in a sentence; ask only if the question [is answered](Self::is_answered).
    pub(crate) fn sentence(&self) -> String {
        let said = |score: &Score| format!("{} {}", score.style, score.text);
        if !self.decides() {
            let all: Vec<String> = self.scores.iter().map(said).collect();
            return format!("No difference that counts: {}.", list(&all));
        }
        let (best, others): (Vec<&Score>, Vec<&Score>) =
            self.scores.iter().partition(|score| self.is_best(&score.style));
        let best: Vec<String> = best.into_iter().map(said).collect();
        let others: Vec<String> = others
            .into_iter()
            .map(|score| match self.behind(&score.style) {
                Some(factor) => format!("{} ({})", said(score), units::times(factor)),
                None => said(score),
            })
            .collect();
        format!("Best: {}. Against it: {}.", list(&best), list(&others))
    }
}
