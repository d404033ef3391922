//! "Who should choose between the instances of a service?": the answer follows the figures, whichever way they point.

use study::figures::{ChosenBy, DiscoveryFigures, Report};
use study::table;

use crate::made_up;

/// What `style` has made of two instances where `chosen_by` chooses.
fn tried<'a>(report: &'a mut Report, style: &str, chosen_by: ChosenBy) -> &'a mut DiscoveryFigures {
    let style = report.styles.iter_mut().find(|it| it.style == style).unwrap();
    style.discovery.iter_mut().find(|it| it.chosen_by == chosen_by).unwrap()
}

/// The table without breaks between digits and units.
fn told(report: &Report) -> String {
    table::render(report).replace('\u{202f}', " ")
}

#[test]
fn callers_that_spread_calls_and_lose_none_should_choose() {
    let told = told(&made_up::report());
    let answer = "Let callers choose: of two instances in grpc, one answered 100 % of the calls behind a balancer of connections \
                  and 50 % where callers chose, 0.3 % and 0 % of the orders failed when it was killed, 16 % and 0 % of \
                  the orders failed while it hung, and started again it had its share not within 8.00 s and after 0.60 s; restful, which leaves the choice to the platform, had 100 % of its calls \
                  answered by one of two instances behind a balancer of connections.";
    assert!(told.contains(answer), "{told}");
    assert!(told.contains("| two billings, the caller chooses: shares [6]"), "{told}");
    for figures in ["100 / 0 %", "0.3 / 16.4 / 0.0 %", "no / no / no s", "50 / 50 %", "0.6 / 0.2 / 0.4 s"] {
        assert!(told.contains(figures), "{figures}: {told}");
    }
}

#[test]
fn figures_that_say_the_opposite_are_answered_the_other_way() {
    let mut report = made_up::report();
    let balancer = tried(&mut report, "grpc", ChosenBy::Balancer).clone();
    let caller = tried(&mut report, "grpc", ChosenBy::Caller).clone();
    *tried(&mut report, "grpc", ChosenBy::Balancer) =
        DiscoveryFigures { chosen_by: ChosenBy::Balancer, ..caller };
    tried(&mut report, "grpc", ChosenBy::Caller)
        .clone_from(&DiscoveryFigures { chosen_by: ChosenBy::Caller, ..balancer });
    let told = told(&report);
    assert!(told.contains("Let a balancer choose: of two instances in grpc, one answered 50 %"), "{told}");
}

#[test]
fn callers_that_lose_calls_are_not_better_in_everything() {
    let mut report = made_up::report();
    tried(&mut report, "grpc", ChosenBy::Caller).strikes[0].failed = 240;
    let told = told(&report);
    assert!(told.contains("Neither way is better in everything: "), "{told}");
    assert!(told.contains("0.3 % and 24 % of the orders failed"), "{told}");
}

#[test]
fn differences_as_between_two_runs_are_none() {
    let mut report = made_up::report();
    let balancer = tried(&mut report, "grpc", ChosenBy::Balancer).clone();
    let caller = tried(&mut report, "grpc", ChosenBy::Caller);
    *caller = DiscoveryFigures { chosen_by: ChosenBy::Caller, ..balancer };
    caller.share_of_calls = vec![0.97, 0.03];
    caller.strikes[0].failed += 1;
    assert!(told(&report).contains("It makes no difference who chooses: "));
}

#[test]
fn where_no_caller_can_choose_that_is_said() {
    let mut report = made_up::report();
    report.styles.retain(|style| style.style == "restful");
    assert!(told(&report).contains("Here nobody but the platform can choose: restful"));
    report.styles[0].discovery.clear();
    let told = told(&report);
    assert!(!told.contains("nobody but the platform") && !told.contains("[6]"), "{told}");
    assert!(told.contains("Left out: who chooses between two instances."), "{told}");
}
