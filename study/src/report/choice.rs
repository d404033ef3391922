//! Which style when: the homework's question, "which variant is the most adequate here, and why", answered by the figures.
//!
//! Nothing here knows a style by name, and no sentence says more than its figures: if these change, so does the answer.

mod changes;
mod criteria;
mod judgement;

use self::changes::Change;
use self::criteria::CRITERIA;
use self::judgement::Judgement;
use crate::figures::Report;
use crate::figures::units::{self, list};

/// The answer.
pub struct Choice {
    /// The style that is the most adequate, or several if the figures do not decide.
    pub adequate: Vec<String>,
    /// Why, in sentences.
    pub because: Vec<String>,
    /// Whether a question had no figures to answer it.
    pub partial: bool,
    /// Each question that the figures answer.
    pub(crate) judgements: Vec<Judgement>,
    /// What would change the answer.
    pub(crate) changes: Vec<Change>,
    /// Why styles are not in question at all.
    pub excluded: Vec<String>,
}

/// Answers the question.
pub fn choose(report: &Report) -> Choice {
    let (judgements, unanswered): (Vec<Judgement>, Vec<Judgement>) =
        CRITERIA.iter().map(|it| Judgement::of(it, report)).partition(Judgement::is_answered);
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
    let missing: Vec<&str> = unanswered.iter().map(|it| it.criterion.short).collect();
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
