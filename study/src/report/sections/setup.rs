//! What the checker found, the scenario's steps, and on what everything was measured.

use super::section::{Body, Part, Section, names};
use crate::figures::units;
use crate::figures::{Report, StyleFigures};
use crate::report::table::{Cell, Row, Table};

/// The checker's word, and that of the scenario.
pub(super) fn consistency(report: &Report) -> Section {
    let violations = report.styles.iter().flat_map(|style| {
        style.violations.iter().map(|violation| {
            Row::new(&style.style, vec![Cell { text: violation.clone(), alarm: true, ..Cell::default() }])
        })
    });
    let sound = report.styles.iter().filter(|style| style.violations.is_empty());
    let sound = sound.map(|style| Row::new(&style.style, vec![Cell::text("Every invariant holds.")]));
    let table = Table::new("style", ["what the checker found"]).with(violations).with(sound);
    let made = "Looked at from outside after every experiment, in databases, mailbox and topics: no money lost, every account \
                equals its ledger, an order is charged exactly when it is paid, every ended order has its one email, replicas \
                equal their source, nothing is left unfinished.";
    let parts = vec![Part::new("Invariants", Body::Table(table), made), scenario(report)];
    Section { id: "consistency", title: "Consistency", parts }
}

/// Each step's time, or what was wrong about it.
fn scenario(report: &Report) -> Part {
    let mut steps: Vec<&str> = Vec::new();
    for step in report.styles.iter().flat_map(|style| &style.scenario) {
        if !steps.contains(&step.name.as_str()) {
            steps.push(&step.name);
        }
    }
    if steps.is_empty() {
        return Part::absent("The scenario, step by step", "The scenario did not run.");
    }
    let rows = steps.into_iter().map(|name| {
        let cell = |style: &StyleFigures| match style.scenario.iter().find(|step| step.name == name) {
            None => Cell::none(),
            Some(step) => match &step.failure {
                None => Cell::text(units::ms(step.elapsed_ms)),
                Some(failure) => Cell { text: failure.clone(), alarm: true, ..Cell::default() },
            },
        };
        Row::new(name, report.styles.iter().map(cell).collect())
    });
    let made = "Once per style, before anything is warm: from the request until the expected was seen.";
    let table = Table::new("step", names(report)).with(rows.collect::<Vec<_>>());
    Part::new("The scenario, step by step", Body::Table(table), made)
}

/// On what it ran, and how that was set up.
pub(crate) fn section(report: &Report) -> Section {
    let setup = &report.setup;
    let broker = if setup.broker_in_memory {
        format!("{} (in memory: no Apache Kafka, and its times are its own)", setup.broker)
    } else {
        setup.broker.clone()
    };
    let facts = [
        ("machine", setup.machine.clone()),
        ("processor", format!("{}, {} cores used", setup.processor, setup.cores)),
        ("memory", format!("{} GiB", units::short(units::whole(setup.memory_bytes) / f64::from(1 << 30)))),
        ("system", setup.system.clone()),
        ("PostgreSQL", setup.postgres.clone()),
        ("broker", broker),
        ("partitions of each topic", setup.partitions.to_string()),
        ("database connections of each service", setup.database_connections.to_string()),
        ("traces recorded during throughput", units::percent(setup.traces_sampled)),
        ("seed", report.seed.to_string()),
        ("began", report.made_at.format("%Y-%m-%d %H:%M UTC").to_string()),
        ("took", units::seconds(report.took_s)),
    ];
    let fact = |(name, value): (&str, String)| Row::new(name, vec![Cell::text(value)]);
    let of = |settings: &std::collections::BTreeMap<String, String>| {
        settings.iter().map(|(name, value)| fact((name, value.clone()))).collect::<Vec<_>>()
    };
    let table = |about: &str, rows: Vec<Row>| Body::Table(Table::new(about, ["value"]).with(rows));
    let parts = vec![
        Part::new("Machine and servers", table("what", facts.map(fact).into()), ""),
        Part::new(
            "PostgreSQL's settings",
            table("setting", of(&setup.postgres_settings)),
            "As the server tells them.",
        ),
        Part::new(
            "Services' settings",
            table("setting", of(&setup.settings)),
            "Those that differ from their defaults.",
        ),
    ];
    Section { id: "settings", title: "Settings", parts }
}
