//! Two instances of a service: who answers the calls, and what clients see when one of them is struck.

use super::section::{Body, Part, Section};
use crate::figures::units::{self, count, percent, whole};
use crate::figures::{ChosenBy, DiscoveryFigures, Report, StrikeFigures, StyleFigures, who_chooses};
use crate::report::table::{Cell, Row, Table};

pub(super) fn section(report: &Report) -> Section {
    let answer = who_chooses::answer(report).map(|answer| Part::new("", Body::Text(answer), ""));
    let parts = answer.into_iter().chain(strikes(report)).collect();
    Section { id: "discovery", title: "Who chooses between two instances", parts }
}

fn strikes(report: &Report) -> Option<Part> {
    let tried = || report.styles.iter().flat_map(|style| style.discovery.iter().map(move |it| (style, it)));
    let (_, first) = tried().next()?;
    let head = [
        "chosen by",
        "calls of each",
        "one is",
        "away for",
        "orders",
        "failed",
        "accepted",
        "answered late",
        "failed otherwise",
        "its share again",
    ];
    let mut last = "";
    let rows = tried().flat_map(|(style, found)| {
        let again = last == style.style;
        last = &style.style;
        rows_of(style, found, again)
    });
    let made = format!(
        "Two instances of billing under {} orders/s in an open loop, which make two calls of billing each. The balancer gives each \
         new connection to the next instance and passes over one that refuses, as HAProxy does in TCP mode without health checks. \
         A caller that chooses is told both addresses and takes them in turn, call by call; a style without that leaves the \
         choice to the platform. The instance that answers most of the calls is killed (SIGKILL), stopped for a while (SIGSTOP), \
         and drained (SIGTERM). Orders placed while it was away: failed is answered with 5xx or not at all, accepted with 202, \
         late after more than a second. It has its share again in the first second in which it answers at least 40 % of the \
         calls, counted from when it was ready.",
        count(first.orders_per_s),
    );
    let table = Table::new("style", head).with(rows.collect::<Vec<_>>());
    Some(Part::new("One of two is struck", Body::Table(table), made))
}

fn rows_of(style: &StyleFigures, found: &DiscoveryFigures, again: bool) -> Vec<Row> {
    let shares: Vec<String> = found.share_of_calls.iter().map(|share| percent(*share)).collect();
    let chosen_by = match found.chosen_by {
        ChosenBy::Balancer => "a balancer",
        ChosenBy::Caller => "the caller",
    };
    let row = |(number, strike): (usize, &StrikeFigures)| {
        let of_way = |text: &str| Cell::text(if number == 0 { text } else { "" });
        let figure = |number: u64| Cell::text(count(whole(number)));
        let cells = vec![
            of_way(chosen_by),
            of_way(&shares.join(" / ")),
            Cell::text(strike.strike.in_words()),
            Cell::text(units::seconds(strike.away_s)),
            figure(strike.placed),
            Cell::text(failed(strike)),
            figure(strike.accepted),
            figure(strike.answered_late),
            figure(strike.failed_otherwise),
            Cell::text(who_chooses::share_again(strike)),
        ];
        Row::new(&style.style, cells).again(again || number > 0)
    };
    found.strikes.iter().enumerate().map(row).collect()
}

/// How many failed, and which part that is.
fn failed(strike: &StrikeFigures) -> String {
    let share = strike.failed_share().filter(|_| strike.failed > 0);
    let share = share.map(|share| format!(" ({})", percent(share)));
    count(whole(strike.failed)) + &share.unwrap_or_default()
}
