//! How old what services know can be, in styles that keep replicas.

use super::section::{Body, Part, Section};
use crate::figures::Report;
use crate::figures::units::{self, count, whole};
use crate::report::table::{Cell, Row, Table};

pub(super) fn section(report: &Report) -> Section {
    let measured = report.styles.iter().filter_map(|style| Some((&style.style, style.freshness.as_ref()?)));
    let parts = measured
        .map(|(style, freshness)| {
            let rows = freshness.replica_behind.iter().map(|(service, behind)| {
                let times = [behind.p50_ms, behind.p95_ms, behind.p99_ms, behind.max_ms];
                Row::new(service, times.map(|ms| Cell::text(units::ms(ms))).into())
            });
            let made = format!(
                "{} profile changes under load, each from its answer until the replica had it. Of {} placed in that window, \
                 {} used the old value: taken with the version before, or told about at the old address.",
                count(whole(freshness.changes)),
                units::plural(freshness.orders_in_window, "order"),
                count(whole(freshness.orders_with_old_value)),
            );
            let table = Table::new("replica of users in", ["p50", "p95", "p99", "longest"]).with(rows);
            Part::new(format!("{style}: how far replicas are behind"), Body::Table(table), made)
        })
        .collect();
    Section { id: "freshness", title: "Freshness", parts }
}
