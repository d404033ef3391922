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
        ("saga-participants", Verdict::Confirmed),
        ("choreography-loose", Verdict::Refuted),
        ("saga-flow", Verdict::Confirmed),
        ("saga-circles", Verdict::Confirmed),
        // Billing had to learn to take a withdrawal back; notification has nothing to do with it.
        ("saga-step", Verdict::Depends),
        ("orchestrator-stops-all", Verdict::Confirmed),
        // Not without notification: the email follows.
        ("choreography-no-single-point", Verdict::Depends),
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
fn verdicts_on_sagas_turn_with_what_passes_and_with_what_is_away() {
    let mut report = made_up::report();
    for outage in &mut style(&mut report, "restful").availability {
        outage.refused = 0;
    }
    for name in ["event-notifications", "event-collab"] {
        style(&mut report, name)
            .availability
            .iter_mut()
            .for_each(|outage| outage.finished_after_recovery = 0);
    }
    // Whom the participants call, they depend on.
    let orchestrated = style(&mut report, "command-reply");
    let mut call = orchestrated.trace[1].clone();
    (call.id, call.service, call.kind) = ("c1".to_owned(), "billing".to_owned(), "client".to_owned());
    let mut answer = orchestrated.trace[2].clone();
    (answer.id, answer.parent, answer.service) = ("c2".to_owned(), Some(call.id.clone()), "order".to_owned());
    orchestrated.trace.extend([call, answer]);
    // Of what does not pass, nobody knows anything.
    style(&mut report, "event-collab").trace.retain(|span| !span.name.contains("WithdrawalProcessed"));
    for (id, expected) in [
        ("orchestrator-stops-all", Verdict::Depends),
        ("choreography-no-single-point", Verdict::Confirmed),
        ("saga-circles", Verdict::Depends),
        ("saga-flow", Verdict::Confirmed),
    ] {
        assert_eq!(verdict(&report, id), expected, "{id}");
    }
}

#[test]
fn what_it_took_to_add_the_ticket_is_counted_in_the_code_of_each_service() {
    let claims = check(&made_up::report());
    let claim = claims.iter().find(|claim| claim.id == "saga-step").unwrap();
    let (billing, notification) = claim.evidence.split_once("; ").unwrap();
    assert!(
        billing.contains("lines of 1 file of billing") && billing.contains("of 3 files of order"),
        "{billing}"
    );
    assert!(notification.contains("in no line of notification"), "{notification}");
}

#[test]
fn without_the_trace_of_an_order_nothing_is_said_of_who_knows_whom() {
    let report = made_up::empty_report();
    for id in ["saga-participants", "choreography-loose", "saga-flow", "saga-circles", "saga-step"] {
        assert_eq!(verdict(&report, id), Verdict::NotMeasured, "{id}");
    }
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
        "orchestrator-stops-all",
        "choreography-no-single-point",
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
