//! A sale with more buyers than seats: what is said of it follows the figures, whichever way they point.

use std::fs;
use std::path::Path;

use study::figures::{Report, SaleFigures, Trouble};
use study::report::write;
use study::table;

use crate::made_up;

fn sale(report: &mut Report, trouble: Trouble) -> &mut SaleFigures {
    let sold = report.styles.iter_mut().find_map(|style| style.bookings.as_mut()).unwrap();
    sold.sales.iter_mut().find(|sale| sale.trouble == trouble).unwrap()
}

/// The section of the page, without breaks between digits and units.
fn section(report: &Report, name: &str) -> String {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let page = fs::read_to_string(write(report, &directory).unwrap()).unwrap();
    let from = page.find("<section id=\"bookings\"").unwrap();
    let to = page[from..].find("</section>").unwrap();
    page[from..from + to].replace('\u{202f}', " ")
}

#[test]
fn a_sale_that_comes_out_right_is_said_to_and_what_it_took_is_shown() {
    let report = made_up::report();
    let section = section(&report, "sale-right");
    for told in [
        "Every seat is sold once, nobody is charged without a seat, and every buyer learns where they stand, in command-reply",
        "while deadlines pass it took 12.5 s, and 100 of 100 seats were sold",
        "1 000 buyers ask for one of 100 seats",
        "50 (33 %)",
        "5.40 s",
    ] {
        assert!(section.contains(told), "{told}: {section}");
    }
    let table = table::render(&report);
    assert!(table.contains("| sale, billing is killed: sold / harmed [7]"), "{table}");
    assert!(table.contains("100 / 0") && table.contains("1000 buyers for 100 seats"), "{table}");
}

#[test]
fn a_sale_that_harms_a_buyer_or_leaves_a_seat_is_not_said_to_come_out_right() {
    let mut report = made_up::report();
    sale(&mut report, Trouble::BillingKilled).charged_without_seat = 2;
    sale(&mut report, Trouble::DeadlinesPass).sold = 99;
    let section = section(&report, "sale-wrong");
    assert!(section.contains("It came out right in 1 of 3 sales, in command-reply"), "{section}");
    assert!(!section.contains("Every seat is sold once"), "{section}");
    assert!(table::render(&report).contains("100 / 2"));
}

#[test]
fn where_no_seat_was_held_in_vain_there_is_no_figure_of_how_long() {
    let mut report = made_up::report();
    let undisturbed = sale(&mut report, Trouble::Nothing);
    (undisturbed.held_in_vain, undisturbed.held_for) = (0, None);
    let section = section(&report, "sale-without-waste");
    assert!(section.contains("0 (0 %)") && !section.contains("NaN"), "{section}");
    assert!(table::render(&report).contains("none is"));
}
