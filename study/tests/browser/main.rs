//! The report's page in a real browser, as whoever opens it has one. Where there is no browser, these cases are ignored, and the
//! last line says why; where `CI` is set, they fail then.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod chromium;
#[path = "../report/made_up/mod.rs"]
#[allow(dead_code, reason = "the tests of the figures use the rest")]
mod made_up;
mod page;

use std::env;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

const CASES: [(&str, fn()); 2] = [
    ("every_section_of_a_full_report_is_filled", page::every_section_of_a_full_report_is_filled),
    ("a_quick_report_shows_what_was_measured", page::a_quick_report_shows_what_was_measured),
];

fn main() -> ExitCode {
    let demanded = env::var_os("CI").is_some_and(|value| !value.is_empty());
    let ignored = chromium::executable().is_none() && !demanded;
    let case = |(name, case): (&str, fn())| {
        let case = move || {
            case();
            Ok(())
        };
        Trial::test(name, case).with_ignored_flag(ignored)
    };
    let conclusion = libtest_mimic::run(&Arguments::from_args(), CASES.map(case).into());
    if ignored && conclusion.num_ignored > 0 {
        println!("{} cases were ignored: {}\n", conclusion.num_ignored, chromium::MISSING);
    }
    conclusion.exit_code()
}
