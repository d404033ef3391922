//! `study compare` as a user runs it: what it prints, and the report that it writes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::PathBuf;
use std::process::{Command, Output};

use study::figures::{ChosenBy, Report, Strike};

fn study(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_study")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_quick_comparison_ends_in_a_table_and_a_report() {
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("compare");
    let out = out.to_str().unwrap();
    let run = study(&["--styles", "event-collab", "--seed", "7", "--out", out]);
    let (printed, said) = (text(&run.stdout), text(&run.stderr));
    assert!(run.status.success(), "{printed}\n{said}");
    assert!(printed.contains("| consistency") && printed.contains("holds"), "{printed}");

    let saved = std::fs::read(format!("{out}/report.json")).unwrap();
    let report: Report = serde_json::from_slice(&saved).unwrap();
    let [style] = report.styles.as_slice() else { panic!("{} styles", report.styles.len()) };
    assert!(report.quick && report.seed == 7 && report.setup.cores > 0);
    assert_eq!((style.cost.http_requests, style.cost.messages), ((0, 0), (4, 4)));
    // The private cluster counts statements; a server of somebody's may not, and then the report says so.
    let statements = style.cost.services["billing"].sql_statements;
    assert!(statements.is_some_and(|count| count >= 1.0) || report.setup.without_statements.is_some());
    let [latency] = style.latency.as_slice() else { panic!("{} loads", style.latency.len()) };
    assert!(latency.orders > 0 && latency.answer.p50_ms > 0.0 && latency.email.p50_ms > 0.0);
    // From the client to the email.
    let begins = style.trace.first().unwrap();
    assert!((begins.service.as_str(), begins.kind.as_str()) == ("gateway", "server"), "{begins:?}");
    assert!(style.trace.iter().any(|span| span.name == "send email"), "{:?}", style.trace);

    let table = study(&["table", &format!("{out}/report.json")]);
    assert!(printed.contains(text(&table.stdout).trim()), "{}", text(&table.stdout));
    assert!(std::fs::read_to_string(format!("{out}/report.schema.json")).unwrap().contains("ready_after_s"));
}

#[test]
fn two_instances_are_struck_one_after_the_other_behind_a_balancer_and_where_the_caller_chooses() {
    let out = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("discovery");
    let out = out.to_str().unwrap();
    let run = study(&["--styles", "grpc", "--experiments", "discovery", "--seed", "7", "--out", out]);
    let (printed, said) = (text(&run.stdout), text(&run.stderr));
    assert!(run.status.success(), "{printed}\n{said}");
    let saved = std::fs::read(format!("{out}/report.json")).unwrap();
    let report: Report = serde_json::from_slice(&saved).unwrap();
    let [balancer, caller] = report.styles[0].discovery.as_slice() else { panic!("{said}") };
    assert_eq!((balancer.chosen_by, caller.chosen_by), (ChosenBy::Balancer, ChosenBy::Caller));
    for found in [balancer, caller] {
        let strikes: Vec<Strike> = found.strikes.iter().map(|it| it.strike).collect();
        assert_eq!(strikes, [Strike::Killed, Strike::Hung, Strike::Drained]);
        assert!(found.strikes.iter().all(|it| it.placed >= 50), "{found:?}");
    }
    // One connection, and all calls on it; or each in its turn.
    assert!(balancer.share_of_calls[0] > 0.95, "{balancer:?}");
    assert!((0.5..0.6).contains(&caller.share_of_calls[0]), "{caller:?}");
    assert!(caller.strikes.iter().all(|it| it.failed_otherwise == 0), "{caller:?}");
    let killed = &caller.strikes[0];
    assert!(killed.failed * 50 <= killed.placed && killed.share_after_s.is_some(), "{killed:?}");
}

#[test]
fn what_is_no_report_is_an_error() {
    let table = study(&["table", "no-such-report.json"]);
    assert_eq!(table.status.code(), Some(1));
    assert!(text(&table.stderr).contains("no-such-report.json"));
}
