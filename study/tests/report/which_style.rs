//! "Which style when": the answer follows the figures, whichever way they point.

use study::figures::{Report, StyleFigures};
use study::report::choose;

use crate::made_up;

fn style<'a>(report: &'a mut Report, name: &str) -> &'a mut StyleFigures {
    report.styles.iter_mut().find(|style| style.style == name).unwrap()
}

#[test]
fn the_style_that_is_best_most_often_is_the_most_adequate() {
    let choice = choose(&made_up::report());
    assert_eq!(choice.adequate, ["restful"]);
    let because = choice.because.join(" ");
    assert!(because.contains("the answer with one order at a time (7.6\u{202f}ms)"), "{because}");
    assert!(
        because.contains("It is behind in capacity (0.44 of the limit; event-collab 1.12 of the limit)"),
        "{because}"
    );
}

#[test]
fn figures_that_point_the_other_way_are_answered_the_other_way() {
    let mut report = made_up::report();
    let fast = made_up::quantiles(2.0);
    let fat = style(&mut report, "event-collab");
    fat.latency[0].answer = fast;
    fat.idle = None;
    for synchronous in ["restful", "grpc"] {
        style(&mut report, synchronous).idle = None;
    }
    let choice = choose(&report);
    assert_eq!(choice.adequate, ["event-collab"]);
    let because = choice.because.join(" ");
    assert!(because.contains("the answer with one order at a time (2.0\u{202f}ms)"), "{because}");
}

#[test]
fn figures_that_differ_by_less_than_runs_do_choose_nobody() {
    let mut report = made_up::report();
    let first = report.styles[0].clone();
    for style in &mut report.styles {
        let name = style.style.clone();
        *style = StyleFigures { style: name, ..first.clone() };
    }
    let choice = choose(&report);
    assert!(choice.adequate.is_empty(), "{:?}", choice.adequate);
    assert!(choice.because[0].contains("do not tell the styles apart"), "{:?}", choice.because);
}

#[test]
fn an_answer_from_half_of_the_figures_says_so() {
    let choice = choose(&made_up::quick_report());
    let last = choice.because.last().unwrap();
    assert!(last.starts_with("Not measured in this run") && last.contains("capacity"), "{last}");
}

#[test]
fn a_style_that_loses_an_order_is_adequate_for_nothing() {
    let mut report = made_up::report();
    style(&mut report, "restful").availability[0].lost = 1;
    let choice = choose(&report);
    assert!(!choice.adequate.iter().any(|style| style == "restful"), "{:?}", choice.adequate);
    assert!(
        choice.excluded[0].contains("restful") && choice.excluded[0].contains("1 order"),
        "{:?}",
        choice.excluded
    );
}
