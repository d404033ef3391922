//! The claims: each verdict follows the figures, in both directions.

use study::claims::{check, differences, document};
use study::figures::{Report, StyleFigures, Verdict};

use crate::made_up;

fn style<'a>(report: &'a mut Report, name: &str) -> &'a mut StyleFigures {
    report.styles.iter_mut().find(|style| style.style == name).unwrap()
}

fn verdict(report: &Report, id: &str) -> Verdict {
    check(report)
        .into_iter()
        .find(|claim| claim.id == id)
        .unwrap_or_else(|| panic!("there is no claim {id}"))
        .verdict
}

#[test]
fn verdicts_are_those_of_the_figures() {
    let report = made_up::report();
    for (id, expected) in [
        ("sync-waits", Verdict::Confirmed),
        // Not without notification: the email follows.
        ("sync-chain", Verdict::Depends),
        ("events-take-orders", Verdict::Confirmed),
        ("thin-gets", Verdict::Confirmed),
        ("fat-no-gets", Verdict::Confirmed),
        ("fat-stale", Verdict::Confirmed),
        // GETs have headers.
        ("fat-bytes", Verdict::Refuted),
        ("nothing-lost", Verdict::Confirmed),
        ("events-slower-alone", Verdict::Confirmed),
        ("events-faster-loaded", Verdict::Depends),
        ("broker-stops-all", Verdict::Confirmed),
    ] {
        assert_eq!(verdict(&report, id), expected, "{id}");
    }
}

#[test]
fn verdicts_turn_with_the_figures() {
    let mut report = made_up::report();
    for synchronous in ["restful", "grpc"] {
        for latency in &mut style(&mut report, synchronous).latency {
            latency.terminal = latency.answer.clone();
        }
    }
    style(&mut report, "event-notifications").cost.gets = (0, 0);
    style(&mut report, "event-collab").availability[0].lost = 2;
    style(&mut report, "event-collab").freshness.as_mut().unwrap().orders_with_old_value = 0;
    style(&mut report, "event-collab").latency[0].answer = made_up::quantiles(1.0);
    for outage in
        style(&mut report, "event-notifications").availability.iter_mut().filter(|it| it.part == "broker")
    {
        outage.refused = 0;
    }
    for (id, expected) in [
        ("sync-waits", Verdict::Refuted),
        ("thin-gets", Verdict::Depends),
        ("nothing-lost", Verdict::Depends),
        ("fat-stale", Verdict::Refuted),
        ("events-slower-alone", Verdict::Depends),
        ("broker-stops-all", Verdict::Depends),
    ] {
        assert_eq!(verdict(&report, id), expected, "{id}");
    }
}

#[test]
fn what_a_quick_run_does_not_measure_is_not_judged() {
    let report = made_up::quick_report();
    for id in ["sync-chain", "fat-stale", "nothing-lost", "events-faster-loaded", "broker-stops-all"] {
        assert_eq!(verdict(&report, id), Verdict::NotMeasured, "{id}");
    }
}

#[test]
fn the_crossover_is_in_the_evidence() {
    let claims = check(&made_up::report());
    let claim = claims.iter().find(|claim| claim.id == "events-faster-loaded").unwrap();
    assert!(
        claim.evidence.contains("event-collab against restful: ahead from 16 in flight"),
        "{}",
        claim.evidence
    );
}

#[test]
fn a_document_that_was_written_agrees_with_the_figures_it_was_written_from() {
    let report = made_up::report();
    assert_eq!(differences(&check(&report), &document(&report)), Vec::<String>::new());
}
