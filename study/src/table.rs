//! A report as one table, a column per style and a row per property, in Markdown: for a terminal, and for a page that talks about
//! it. Made from the report alone, so that a saved one can be shown again.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use self::rows::Row;
use crate::figures::{Report, Setup, StyleFigures, left_out, who_chooses};

mod rows;

/// Columns that the table takes: for what is told, and for each style.
const WIDTHS: (usize, usize) = (50, 20);

/// The table, what its figures mean, and what was violated.
pub fn render(report: &Report) -> String {
    let mut lines = vec![table(report).to_string(), String::new()];
    lines.extend(notes(report));
    for style in &report.styles {
        lines.extend(style.violations.iter().map(|violation| format!("{}: {violation}", style.style)));
    }
    lines.join("\n")
}

/// On what the figures were made.
pub fn settings(report: &Report) -> String {
    let Setup { machine, processor, cores, memory_bytes, system, .. } = &report.setup;
    let setup = &report.setup;
    let pairs = |pairs: &std::collections::BTreeMap<String, String>| {
        pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    };
    let memory_gib = memory_bytes >> 30;
    let lines = [
        ("machine", format!("{machine}: {cores} cores of {processor}, {memory_gib} GiB, {system}")),
        ("postgres", format!("{}: {}", setup.postgres, pairs(&setup.postgres_settings))),
        ("broker", format!("{}; {} partitions per topic", setup.broker, setup.partitions)),
        (
            "services",
            format!("{} database connections each; {}", setup.database_connections, pairs(&setup.settings)),
        ),
        (
            "run",
            format!("{}, seed {}, {:.0} s", report.made_at.format("%Y-%m-%d"), report.seed, report.took_s),
        ),
    ];
    lines.map(|(about, text)| format!("{about:<10} {text}")).join("\n")
}

fn table(report: &Report) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(WIDTHS.0 + WIDTHS.1 * report.styles.len()).unwrap_or(u16::MAX));
    let names = report.styles.iter().map(|style| style.style.clone());
    table.set_header(std::iter::once(String::new()).chain(names));
    for Row { about, say } in rows::of(report) {
        let cells: Vec<Option<String>> = report.styles.iter().map(say).collect();
        // What nobody has a figure of was not measured.
        if cells.iter().any(Option::is_some) {
            let cells = cells.into_iter().map(|cell| cell.unwrap_or_else(|| "-".to_owned()));
            table.add_row(std::iter::once(about).chain(cells));
        }
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// What the marks in the table mean, each if it is there.
fn notes(report: &Report) -> Vec<String> {
    let first = |of: &dyn Fn(&StyleFigures) -> Option<String>| report.styles.iter().find_map(of);
    let cost = first(&|style| {
        Some(format!(
            "[1] per paid order, from the client's request to the email: counted from the traces of {} orders, in a run of\n    \
             its own with tracing on; SQL as PostgreSQL counts it, less what goes on at idle",
            style.cost.orders
        ))
    });
    let latency = first(&|style| {
        let loads: Vec<String> = style.latency.iter().map(|it| it.orders.to_string()).collect();
        (!loads.is_empty()).then(|| {
            format!(
                "[2] from the client's request, or in the open loop from when it was due; of {} orders, after a warm-up",
                loads.join(", ")
            )
        })
    });
    let throughput = first(&|style| {
        (!style.throughput.is_empty()).then(|| match &report.setup.without_limit {
            None => "[3] orders that became terminal, in a closed loop; as a part of what pgbench reaches with one order's four\n    \
                     transactions on the same server right before and after"
                .to_owned(),
            Some(why) => format!(
                "[3] orders that became terminal, in a closed loop; not held against what PostgreSQL alone can do:\n    {why}"
            ),
        })
    });
    let idle = first(&|style| {
        let idle = style.idle.as_ref()?;
        Some(format!("[4] of all services together, watched for {:.0} s with nothing to do", idle.watched_s))
    });
    let outages = first(&|style| {
        (!style.availability.is_empty()).then(|| {
            "[5] of the orders placed from its kill -9 until everything was ready again: answered with 201 / answered with\n    \
             202 / refused with 5xx or not answered / answered after more than a second"
                .to_owned()
        })
    });
    let discovery = who_chooses::answer(report).map(|answer| {
        format!(
            "[6] under a steady load; the one with most of the calls is struck. Failed: orders answered with 5xx or not at all while\n    \
             it was away. Its share: two fifths of the calls of a second, from when it was ready; no: not as long as it was watched.\n    In short:\n    {answer}"
        )
    });
    let bookings = first(&|style| {
        let sale = style.bookings.as_ref()?;
        Some(format!(
            "[7] {} buyers for {} seats, all at once, {} of them without money; who is told that no seat is free comes again when\n    \
             one is. Harmed: charged without a seat, seated without a charge, never answered, never decided",
            sale.buyers, sale.seats, sale.without_money
        ))
    });
    let without = report.setup.without_statements.as_ref();
    let without = without.map(|why| format!("There are no figures of SQL statements: {why}"));
    [cost, latency, throughput, idle, outages, discovery, bookings, without, left_out::line(report)]
        .into_iter()
        .flatten()
        .collect()
}
