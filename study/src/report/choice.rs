//! Which style when: the homework's question, "which variant is the most adequate here, and why", answered by the figures.
//!
//! Nothing here knows a style by name, and no sentence says more than its figures: if these change, so does the answer.

mod changes;
mod criteria;

pub(crate) use changes::Change;
use criteria::CRITERIA;
pub(crate) use criteria::Criterion;

use super::figures::{Report, StyleFigures};
use super::units::{self, list};

/// Two figures that differ by less than this part count as the same: runs of one style differ by as much.
pub(crate) const SAME_WITHIN: f64 = 0.1;

/// The answer.
pub struct Choice {
    /// The style that is the most adequate, or several if the figures do not decide.
    pub adequate: Vec<String>,
    /// Why, in sentences.
    pub because: Vec<String>,
    /// Whether a question had no figures to answer it.
    pub partial: bool,
    /// Each question that was asked of the figures.
    pub(crate) judgements: Vec<Judgement>,
    /// What would change the answer.
    pub(crate) changes: Vec<Change>,
    /// Why styles are not in question at all.
    pub excluded: Vec<String>,
}

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
    fn of(criterion: &'static Criterion, report: &Report) -> Self {
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

    /// Whether the figures tell styles apart.
    pub(crate) fn decides(&self) -> bool {
        !self.best.is_empty() && self.best.len() < self.scores.len()
    }

    fn is_best(&self, style: &str) -> bool {
        self.best.iter().any(|best| best == style)
    }

    fn score(&self, style: &str) -> Option<&Score> {
        self.scores.iter().find(|score| score.style == style)
    }

    /// How many times better the best is than `style`; `None` where that is no number, as of nothing.
    fn behind(&self, style: &str) -> Option<f64> {
        let better = self.criterion.better;
        let best = better.best(self.scores.iter().map(|score| score.figure))?;
        let factor = better.factor(best, self.score(style)?.figure);
        factor.is_finite().then_some(factor)
    }

    /// What the figures say, in a sentence.
    pub(crate) fn sentence(&self) -> String {
        let said = |score: &Score| format!("{} {}", score.style, score.text);
        if self.scores.len() < 2 {
            return self.criterion.absent.to_owned();
        }
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

/// Answers the question.
pub fn choose(report: &Report) -> Choice {
    let judgements: Vec<Judgement> = CRITERIA.iter().map(|it| Judgement::of(it, report)).collect();
    let (sound, excluded) = sound_styles(report);
    let points = |style: &str| judgements.iter().filter(|it| it.decides() && it.is_best(style)).count();
    let most = sound.iter().map(|style| points(style)).max().unwrap_or(0);
    let decided = judgements.iter().any(Judgement::decides);
    let adequate: Vec<String> = sound
        .iter()
        .filter(|style| decided && points(style) == most)
        .map(|&style| style.to_owned())
        .collect();
    let mut because = reasons(&judgements, &adequate, most);
    let missing: Vec<&str> =
        judgements.iter().filter(|it| it.scores.len() < 2).map(|it| it.criterion.short).collect();
    if !missing.is_empty() {
        because.push(format!("Not measured in this run, and not considered: {}.", list(&missing)));
    }
    let changes = changes::changes(report, &judgements, &adequate);
    Choice { adequate, because, partial: !missing.is_empty(), judgements, changes, excluded }
}

/// The styles that did no harm, and why the others are out: what loses an order is adequate for nothing.
fn sound_styles(report: &Report) -> (Vec<&str>, Vec<String>) {
    let (mut sound, mut excluded) = (Vec::new(), Vec::new());
    for style in &report.styles {
        let (violations, harmed) = (style.violations.len() as u64, style.harmed());
        if violations == 0 && harmed == 0 {
            sound.push(style.style.as_str());
        } else {
            excluded.push(format!(
                "{} is out of the question: the checker found {}, and outages harmed {}.",
                style.style,
                units::plural(violations, "violation"),
                units::plural(harmed, "order"),
            ));
        }
    }
    (sound, excluded)
}

fn reasons(judgements: &[Judgement], adequate: &[String], most: usize) -> Vec<String> {
    let deciding: Vec<&Judgement> = judgements.iter().filter(|it| it.decides()).collect();
    if adequate.is_empty() {
        return vec!["These figures do not tell the styles apart, so they choose none.".to_owned()];
    }
    let mut sentences = Vec::new();
    for style in adequate {
        let (wins, pays): (Vec<&Judgement>, Vec<&Judgement>) =
            deciding.iter().copied().partition(|it| it.is_best(style));
        let text =
            |it: &Judgement, style: &str| it.score(style).map(|score| score.text.clone()).unwrap_or_default();
        let wins: Vec<String> =
            wins.iter().map(|it| format!("{} ({})", it.criterion.short, text(it, style))).collect();
        sentences.push(format!(
            "{style} is best, or as good as the best, in {most} of the {} criteria that tell the styles apart: {}.",
            deciding.len(),
            list(&wins)
        ));
        let behind = |it: &&Judgement| {
            it.score(style)?;
            let best = text(it, it.best.first()?);
            Some(format!("{} ({}; {} {best})", it.criterion.short, text(it, style), list(&it.best)))
        };
        let pays: Vec<String> = pays.iter().filter_map(behind).collect();
        if !pays.is_empty() {
            sentences.push(format!("It is behind in {}.", list(&pays)));
        }
    }
    sentences
}
