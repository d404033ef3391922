//! What one paid order costs: in all, and by service.

use super::section::{Body, Part, Section, names, row};
use crate::figures::units::{count, list, whole};
use crate::figures::{Report, StyleFigures};
use crate::report::table::{Better, Cell, Row, Table};

pub(super) fn section(report: &Report) -> Section {
    let counted = report.styles.iter().any(StyleFigures::is_counted);
    let parts = if counted { vec![in_all(report), by_service(report)] } else { Vec::new() };
    Section { id: "cost", title: "Cost of one order", parts }
}

/// How the figures came to be.
fn made(report: &Report) -> String {
    let orders: Vec<String> =
        report.styles.iter().map(|style| format!("{} in {}", style.cost.orders, style.style)).collect();
    let without = report.setup.without_statements.as_ref();
    let without = without.map_or_else(String::new, |why| format!(" SQL statements were not counted: {why}."));
    format!(
        "Per paid order, from the client's request (not counted) to the email. Requests, messages and bytes are counted from \
         traces ({} orders, one at a time, in a run of their own with tracing on), the bytes of RPCs by their connections; SQL statements are \
         counted by pg_stat_statements, with the work at idle taken off; transactions that write, by the ids that PostgreSQL \
         gave out.{without}",
        list(&orders)
    )
}

fn in_all(report: &Report) -> Part {
    let ranged = |label: &str, of: fn(&StyleFigures) -> (usize, usize)| {
        let most = |style: &StyleFigures| style.is_counted().then(|| whole(of(style).1 as u64));
        let mut row = row(report, label, most, count, Better::Less);
        for (cell, style) in row.cells.iter_mut().zip(&report.styles) {
            let (least, most) = of(style);
            if style.is_counted() && least != most {
                cell.text = format!("{least} to {most}");
            }
        }
        row
    };
    let rows = [
        ranged("HTTP requests between services", |style| style.cost.http_requests),
        ranged("GETs among them", |style| style.cost.gets).inner(),
        ranged("RPCs between services", |style| style.cost.rpcs),
        ranged("Messages", |style| style.cost.messages),
        row(
            report,
            "Bytes, headers included",
            |it| it.is_counted().then_some(it.cost.bytes),
            count,
            Better::Less,
        ),
        row(report, "SQL statements", StyleFigures::sql_statements, count, Better::Less),
        row(report, "Transactions that write", |it| it.cost.writing_transactions, count, Better::Less),
    ];
    Part::new("In all", Body::Table(Table::new("", names(report)).with(rows)), made(report))
}

fn by_service(report: &Report) -> Part {
    let head =
        ["service", "HTTP requests", "GETs", "RPCs", "messages", "bytes", "SQL statements", "transactions"];
    let rows = report.styles.iter().flat_map(|style| {
        style.cost.services.iter().enumerate().map(move |(place, (service, cost))| {
            let said = [cost.http_requests, cost.gets, cost.rpcs, cost.messages, cost.bytes].map(Some);
            let asked = [cost.sql_statements, cost.sql_transactions];
            let cell = |it: Option<f64>| it.map_or_else(Cell::none, |figure| Cell::text(count(figure)));
            let cells = said.into_iter().chain(asked).map(cell);
            Row::new(&style.style, std::iter::once(Cell::text(service)).chain(cells).collect())
                .again(place > 0)
        })
    });
    let table = Table::new("style", head).with(rows);
    Part::new(
        "By service",
        Body::Table(table),
        "The same orders, by who sends, asks its database and is answered; on average. Transactions here are those of several \
         statements.",
    )
}
