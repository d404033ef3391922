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
        ("rpc-faster-alone", Verdict::Refuted),
        ("rpc-faster-loaded", Verdict::Refuted),
        ("rpc-less-cpu", Verdict::Refuted),
        ("rpc-fewer-bytes", Verdict::Refuted),
        ("rpc-sticks", Verdict::Confirmed),
        ("rest-spreads", Verdict::Refuted),
        ("rpc-new-gets-nothing", Verdict::Confirmed),
        ("rpc-client-side", Verdict::Confirmed),
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
fn verdicts_on_rpc_turn_with_the_figures() {
    let mut report = made_up::report();
    let plain = style(&mut report, "restful").clone();
    let typed = style(&mut report, "grpc");
    typed.latency[0].answer = made_up::quantiles(plain.latency[0].answer.p50_ms * 0.9);
    for (typed, plain) in typed.throughput.iter_mut().zip(&plain.throughput) {
        typed.ratio = plain.ratio.iter().map(|ratio| ratio * 1.2).collect();
    }
    // Fewer bytes, but not a third; less time alone, but not under load.
    typed.cost.bytes = plain.cost.bytes * 0.5;
    typed.throughput[0].cpu_ms_per_order.insert("order".to_owned(), 0.01);
    let [balancer, caller] = typed.discovery.as_mut_slice() else { panic!("two ways") };
    balancer.share_of_calls = vec![0.5, 0.5];
    balancer.strikes[0].share_after_s = Some(2.0);
    caller.strikes[0].failed = 2;
    style(&mut report, "restful").discovery[0].share_of_calls = vec![0.55, 0.45];
    for (id, expected) in [
        ("rpc-faster-alone", Verdict::Confirmed),
        ("rpc-faster-loaded", Verdict::Confirmed),
        ("rpc-less-cpu", Verdict::Depends),
        ("rpc-fewer-bytes", Verdict::Depends),
        ("rpc-sticks", Verdict::Refuted),
        ("rest-spreads", Verdict::Confirmed),
        ("rpc-new-gets-nothing", Verdict::Depends),
        // 2 of 1000 are more than a tenth of a per cent.
        ("rpc-client-side", Verdict::Depends),
    ] {
        assert_eq!(verdict(&report, id), expected, "{id}");
    }
}

#[test]
fn one_order_in_a_thousand_may_fail_when_an_instance_is_killed() {
    let mut report = made_up::report();
    style(&mut report, "grpc").discovery[1].strikes[0].failed = 1;
    assert_eq!(verdict(&report, "rpc-client-side"), Verdict::Confirmed);
}

#[test]
fn a_style_that_asks_by_rpc_is_not_said_to_ask_nothing() {
    let claims = check(&made_up::report());
    let claim = claims.iter().find(|claim| claim.id == "thin-gets").unwrap();
    let (gets, statements) = claim.evidence.split_once("; ").unwrap();
    assert!(gets.contains("GETs per order") && !gets.contains("grpc"), "{gets}");
    assert!(statements.contains("SQL statements") && statements.contains("in grpc"), "{statements}");
}

#[test]
fn what_a_quick_run_does_not_measure_is_not_judged() {
    let report = made_up::quick_report();
    let left_out = [
        "sync-chain",
        "fat-stale",
        "nothing-lost",
        "events-faster-loaded",
        "broker-stops-all",
        "rpc-faster-loaded",
        "rpc-less-cpu",
        "rpc-sticks",
        "rest-spreads",
        "rpc-new-gets-nothing",
        "rpc-client-side",
    ];
    for id in left_out {
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
