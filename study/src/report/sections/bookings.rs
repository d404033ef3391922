//! A sale with more buyers than seats: what became of the seats, the money and the buyers.

use super::section::{Body, Part, Section};
use crate::figures::units::{count, ms, percent, seconds, whole};
use crate::figures::{BookingsFigures, Report, SaleFigures, StyleFigures};
use crate::report::table::{Cell, Row, Table};

pub(super) fn section(report: &Report) -> Section {
    let sold = || report.styles.iter().filter_map(|style| Some((style, style.bookings.as_ref()?)));
    let answers = sold().map(|(style, found)| Part::new("", Body::Text(answer(style, found)), ""));
    let parts =
        answers.chain(sold().flat_map(|(style, found)| [outcomes(style, found), waits(style, found)]));
    Section { id: "bookings", title: "More buyers than seats", parts: parts.collect() }
}

/// Whether it came out right, and what it took.
fn answer(style: &StyleFigures, found: &BookingsFigures) -> String {
    let is_right = |sale: &SaleFigures| sale.sold == found.seats && sale.harmed() == 0;
    let right = found.sales.iter().filter(|sale| is_right(sale)).count();
    let verdict = if right == found.sales.len() {
        "Every seat is sold once, nobody is charged without a seat, and every buyer learns where they stand"
            .to_owned()
    } else {
        format!("It came out right in {right} of {} sales", found.sales.len())
    };
    let told: Vec<String> = found
        .sales
        .iter()
        .map(|sale| {
            format!(
                "while {} it took {}, and {} of {} seats were sold",
                sale.trouble.in_words(),
                seconds(sale.took_s),
                count(whole(sale.sold)),
                count(whole(found.seats)),
            )
        })
        .collect();
    format!("{verdict}, in {}: {}.", style.style, told.join("; "))
}

fn outcomes(style: &StyleFigures, found: &BookingsFigures) -> Part {
    let head = [
        "seats sold",
        "charged without a seat",
        "seat without a charge",
        "never answered",
        "never decided",
        "bookings",
        "refused too early",
        "timed out",
        "refunded",
    ];
    let rows = found.sales.iter().map(|sale| {
        let number = |number: u64| Cell::text(count(whole(number)));
        let sold = Cell { alarm: sale.sold != found.seats, ..number(sale.sold) };
        let cells = vec![
            sold,
            Cell::harm(sale.charged_without_seat),
            Cell::harm(sale.seated_without_charge),
            Cell::harm(sale.unanswered),
            Cell::harm(sale.undecided),
            number(sale.bookings),
            number(sale.refused_too_early),
            number(sale.timed_out),
            number(sale.refunded),
        ];
        Row::new(sale.trouble.in_words(), cells)
    });
    let made = format!(
        "{} buyers ask for one of {} seats, all at the same moment; {} of them have no money. A buyer who is told that no seat is \
         free, or that it was not decided in time, comes again when one is free, until all are sold: that booking was refused too \
         early. Charged are buyers whose withdrawals less refunds are more than their seats cost. All of it is counted in the \
         database when everything is at rest.",
        count(whole(found.buyers)),
        count(whole(found.seats)),
        count(whole(found.without_money)),
    );
    let table = Table::new(&format!("{}, while", style.style), head).with(rows.collect::<Vec<_>>());
    Part::new("What became of seats and money", Body::Table(table), made)
}

fn waits(style: &StyleFigures, found: &BookingsFigures) -> Part {
    let head = [
        "billing away for",
        "deadline",
        "sold out after",
        "buyers know after, p50",
        "at most",
        "seats held in vain",
        "for, p50",
        "at most",
    ];
    let rows = found.sales.iter().map(|sale| {
        let away =
            if sale.billing_away_s > 0.0 { Cell::text(seconds(sale.billing_away_s)) } else { Cell::none() };
        let held = |of: fn(&crate::figures::Quantiles) -> f64| {
            sale.held_for.as_ref().map_or_else(Cell::none, |held| Cell::text(ms(of(held))))
        };
        let cells = vec![
            away,
            Cell::text(seconds(sale.deadline_s)),
            Cell::text(seconds(sale.took_s)),
            Cell::text(ms(sale.known_after.p50_ms)),
            Cell::text(ms(sale.known_after.max_ms)),
            Cell::text(format!("{} ({})", count(whole(sale.held_in_vain)), in_vain(sale))),
            held(|held| held.p50_ms),
            held(|held| held.max_ms),
        ];
        Row::new(sale.trouble.in_words(), cells)
    });
    let made = "Held in vain is a seat that was reserved and released again, from the one to the other as the ticket service wrote \
                it down; in brackets, which part of all reservations that is. A buyer knows where they stand when they are \
                paid, have too little money, or all seats are sold.";
    let table = Table::new(&format!("{}, while", style.style), head).with(rows.collect::<Vec<_>>());
    Part::new("How long it took, and how long seats were held in vain", Body::Table(table), made)
}

/// The part of the reservations that led to nothing.
fn in_vain(sale: &SaleFigures) -> String {
    let reserved = sale.held_in_vain + sale.sold;
    if reserved == 0 { percent(0.0) } else { percent(whole(sale.held_in_vain) / whole(reserved)) }
}
