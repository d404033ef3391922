//! What is shown of what was measured, and said of what was not: in the page and in the table.

use std::fs;
use std::path::Path;

use study::figures::Report;
use study::report::write;
use study::table;

use crate::made_up;

/// The page, without the code that it shows.
fn page(report: &Report, name: &str) -> String {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let page = fs::read_to_string(write(report, &directory).unwrap()).unwrap();
    let walk = page.find("<section id=\"walk\"").unwrap();
    let end = page[walk..].find("</section>").unwrap();
    page[..walk].to_owned() + &page[walk + end..]
}

#[test]
fn a_quick_run_shows_what_it_measured_and_one_line_of_what_it_left_out() {
    let report = made_up::quick_report();
    let (page, table) = (page(&report, "shown-quick"), table::render(&report));
    let line = "Left out: throughput, other loads, what a style costs at idle, what happens while a part is away, who chooses \
                between two instances, a sale with more buyers than seats, how old replicas are, mistakes on purpose. `cargo run --release -- --full` measures them.";
    for shown in [&page, &table] {
        assert_eq!(shown.matches(line).count(), 1, "{shown}");
        assert_eq!(shown.matches("--full").count(), 1, "{shown}");
        assert_eq!(shown.matches("not measured").count(), 0, "{shown}");
    }
    for id in ["cost", "latency", "idle", "sequence", "claims"] {
        assert!(page.contains(&format!("<section id=\"{id}\"")), "{id} is not shown");
    }
    for id in ["throughput", "availability", "discovery", "bookings", "freshness", "mistakes"] {
        assert!(!page.contains(&format!("id=\"{id}\"")), "{id} is shown, and there is nothing in it");
        assert!(!page.contains(&format!("#{id}")), "a link leads to {id}");
    }
    // Of what no style was measured in: neither a row, nor a question, nor a claim.
    for about in [
        "Refused without",
        "Replicas are behind",
        "Is what a service knows ever old?",
        "replicas that can be stale",
    ] {
        assert!(!page.contains(about), "{about}");
    }
}

#[test]
fn a_full_run_leaves_nothing_out() {
    let report = made_up::report();
    for shown in [page(&report, "shown-full"), table::render(&report)] {
        assert!(!shown.contains("Left out") && !shown.contains("--full"), "{shown}");
    }
}

#[test]
fn where_nothing_was_measured_there_is_no_figure() {
    let page = page(&made_up::empty_report(), "shown-empty");
    assert!(page.contains("Left out: what an order costs, how long an order takes, throughput"), "{page}");
    for id in [
        "cost",
        "latency",
        "throughput",
        "idle",
        "availability",
        "bookings",
        "freshness",
        "sequence",
        "mistakes",
    ] {
        assert!(!page.contains(&format!("id=\"{id}\"")), "{id} is shown, and there is nothing in it");
    }
    assert!(!page.contains("<svg") && !page.contains("NaN"), "{page}");
}

#[test]
fn without_a_limit_throughput_is_shown_alone_and_the_reason_is_said() {
    let mut report = made_up::report();
    let why = "the limit is measured with pgbench, which is not here";
    report.limit = None;
    report.setup.without_limit = Some(why.to_owned());
    for run in report.styles.iter_mut().flat_map(|style| &mut style.throughput) {
        run.ratio.clear();
    }
    let (page, table) = (page(&report, "shown-without-limit"), table::render(&report));
    assert!(page.contains(&format!("Nothing says what PostgreSQL alone can do: {why}.")), "{page}");
    assert!(page.contains(&format!("PostgreSQL alone: {why}")), "{page}");
    assert!(!page.contains("of the limit<") && page.contains("<p class=\"axis\">orders/s</p>"), "{page}");
    assert!(table.contains("| orders/s with 64 in flight [3]") && table.contains(why), "{table}");
    assert!(!table.contains("of the limit"), "{table}");
    assert!(!page.contains("not measured"), "{page}");
}

#[test]
fn with_a_limit_throughput_is_held_against_it() {
    let report = made_up::report();
    assert!(table::render(&report).contains("| orders/s with 64 in flight; of the limit [3]"));
    assert!(page(&report, "shown-with-limit").contains("of the limit<"));
}
