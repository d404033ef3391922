//! The rows of the table: what each is about, and how to say it of a style.

use std::collections::BTreeMap;

use crate::figures::{
    ChosenBy, CostFigures, IdleFigures, LatencyFigures, Load, OutageFigures, Quantiles, Report, SaleFigures,
    StrikeFigures, StyleFigures, ThroughputFigures, Trouble,
};

/// How to say a row's figure of a style; one that has no such figure says nothing.
type Say = Box<dyn Fn(&StyleFigures) -> Option<String>>;

/// A row.
pub(super) struct Row {
    pub(super) about: String,
    pub(super) say: Say,
}

fn row(about: impl Into<String>, say: impl Fn(&StyleFigures) -> Option<String> + 'static) -> Row {
    Row { about: about.into(), say: Box::new(say) }
}

/// All rows that a report can have.
pub(super) fn of(report: &Report) -> Vec<Row> {
    let mut rows = vec![row("scenario steps passed", |style| {
        let passed = style.scenario.iter().filter(|step| step.failure.is_none()).count();
        Some(format!("{passed} of {}", style.scenario.len()))
    })];
    rows.extend(cost());
    rows.extend(latency(report));
    rows.extend(throughput(report));
    rows.extend(resources());
    rows.extend(outages(report));
    rows.extend(instances(ChosenBy::Balancer, "two billings, a balancer chooses"));
    rows.extend(instances(ChosenBy::Caller, "two billings, the caller chooses"));
    rows.extend(sales());
    rows.extend(freshness());
    rows.push(row("ready after", |style| Some(format!("{:.2} s", style.ready_after_s))));
    rows.push(row("consistency", |style| match style.violations.len() {
        0 => Some("holds".to_owned()),
        violations => Some(format!("VIOLATED, {violations} times")),
    }));
    rows
}

fn cost() -> Vec<Row> {
    let count = |about: &str, of: fn(&CostFigures) -> (usize, usize)| {
        row(about, move |style| {
            let (least, most) = of(&style.cost);
            Some(if least == most { most.to_string() } else { format!("{least} to {most}") })
        })
    };
    vec![
        count("HTTP requests between services [1]", |cost| cost.http_requests),
        count("  GETs among them", |cost| cost.gets),
        count("RPCs between services [1]", |cost| cost.rpcs),
        count("messages [1]", |cost| cost.messages),
        row("bytes, headers and bodies [1]", |style| Some(thousands(style.cost.bytes))),
        row("SQL statements [1]", |style| {
            let statements = style.cost.services.values().filter_map(|service| service.sql_statements);
            statements.reduce(|one, other| one + other).map(|all| format!("{all:.1}"))
        }),
        row("transactions that write [1]", |style| {
            style.cost.writing_transactions.map(|all| format!("{all:.1}"))
        }),
    ]
}

fn latency(report: &Report) -> Vec<Row> {
    let mut rows = Vec::new();
    for number in 0..report.styles.iter().map(|style| style.latency.len()).max().unwrap_or(0) {
        let load = report.styles.iter().find_map(|style| style.latency.get(number)).map(|it| it.load);
        let about = match load {
            Some(Load::Closed { in_flight: 1 }) => "one at a time".to_owned(),
            Some(Load::Closed { in_flight }) => format!("{in_flight} in flight"),
            Some(Load::Open { .. }) | None => "open loop, at half of 16's rate".to_owned(),
        };
        let figures = move |style: &StyleFigures, of: fn(&LatencyFigures) -> &Quantiles| {
            let figures = style.latency.get(number)?;
            let Quantiles { p50_ms, p99_ms, .. } = of(figures);
            Some(format!("{p50_ms:.1} / {p99_ms:.1} ms"))
        };
        rows.push(row(format!("{about}: answer, p50 / p99 [2]"), move |style| {
            figures(style, |it| &it.answer)
        }));
        if matches!(load, Some(Load::Open { .. })) {
            rows.push(row("  orders due per second", move |style| match style.latency.get(number)?.load {
                Load::Open { orders_per_s } => Some(format!("{orders_per_s:.0}")),
                Load::Closed { .. } => None,
            }));
        }
        rows.push(row("  order decided, p50 / p99", move |style| figures(style, |it| &it.terminal)));
        rows.push(row("  email out, p50 / p99", move |style| figures(style, |it| &it.email)));
    }
    rows
}

fn throughput(report: &Report) -> Vec<Row> {
    let mut in_flight: Vec<usize> =
        report.styles.iter().flat_map(|style| &style.throughput).map(|run| run.in_flight).collect();
    in_flight.sort_unstable();
    in_flight.dedup();
    let run = |style: &StyleFigures, in_flight: usize| -> Option<ThroughputFigures> {
        style.throughput.iter().find(|run| run.in_flight == in_flight).cloned()
    };
    let of_limit = if report.limit.is_some() { "; of the limit" } else { "" };
    let mut rows = Vec::new();
    for in_flight in in_flight {
        rows.push(row(format!("orders/s with {in_flight} in flight{of_limit} [3]"), move |style| {
            let run = run(style, in_flight)?;
            let rate = thousands(median(&run.orders_per_s)?);
            Some(median(&run.ratio).map_or(rate.clone(), |ratio| format!("{rate}; {ratio:.2}")))
        }));
        rows.push(row("  CPU per order", move |style| {
            let all: f64 = run(style, in_flight)?.cpu_ms_per_order.values().sum();
            (all > 0.0).then(|| format!("{all:.2} ms"))
        }));
    }
    rows
}

fn resources() -> Vec<Row> {
    let rate = |about: &str, of: fn(&IdleFigures) -> &BTreeMap<String, f64>, unit: &'static str| {
        row(about, move |style| {
            let rates = of(style.idle.as_ref()?);
            (!rates.is_empty()).then(|| format!("{:.1}{unit}/s", rates.values().sum::<f64>()))
        })
    };
    vec![
        row("memory of the services, idle / peak", |style| {
            let sum = |of: fn(&crate::figures::MemoryFigures) -> f64| {
                style.memory.values().map(of).sum::<f64>() / 1e6
            };
            let (idle, peak) = (sum(|it| it.idle_bytes), sum(|it| it.peak_bytes));
            (!style.memory.is_empty()).then(|| format!("{idle:.0} / {peak:.0} MB"))
        }),
        rate("at idle: CPU, servers included [4]", |idle| &idle.cpu_ms_per_s, " ms"),
        rate("  SQL statements", |idle| &idle.sql_statements_per_s, ""),
        rate("  HTTP requests between services", |idle| &idle.http_requests_per_s, ""),
        rate("  RPCs between services", |idle| &idle.rpcs_per_s, ""),
        rate("  requests to the broker", |idle| &idle.broker_requests_per_s, ""),
    ]
}

fn outages(report: &Report) -> Vec<Row> {
    let mut parts: Vec<String> = Vec::new();
    for outage in report.styles.iter().flat_map(|style| &style.availability) {
        if !parts.contains(&outage.part) {
            parts.push(outage.part.clone());
        }
    }
    let mut rows = Vec::new();
    for part in parts {
        let find = move |style: &StyleFigures| -> Option<OutageFigures> {
            style.availability.iter().find(|outage| outage.part == part).cloned()
        };
        let (counts, away, about) = (find.clone(), find.clone(), find);
        let name = report.styles.iter().find_map(&about).map_or(String::new(), |outage| outage.part);
        rows.push(row(format!("{name} away: 201 / 202 / refused / late [5]"), move |style| {
            let OutageFigures { paid_at_once, accepted, refused, answered_late, .. } = counts(style)?;
            Some(format!("{paid_at_once} / {accepted} / {refused} / {answered_late}"))
        }));
        rows.push(row("  for", move |style| Some(format!("{:.1} s", away(style)?.away_s))));
        rows.push(row("  everything done after its return", move |style| {
            Some(format!("{:.1} s", about(style)?.consistent_after_s))
        }));
    }
    rows.push(row("lost / charged twice / emailed twice, ever", |style| {
        let sum = |of: fn(&OutageFigures) -> u64| style.availability.iter().map(of).sum::<u64>();
        let (lost, charged, emailed) =
            (sum(|it| it.lost), sum(|it| it.charged_twice), sum(|it| it.emailed_twice));
        (!style.availability.is_empty()).then(|| format!("{lost} / {charged} / {emailed}"))
    }));
    rows
}

fn instances(chosen_by: ChosenBy, about: &str) -> Vec<Row> {
    let of_each = move |style: &StyleFigures, say: fn(&StrikeFigures) -> String, unit: &str| {
        let strikes = &style.discovery_by(chosen_by)?.strikes;
        Some(strikes.iter().map(say).collect::<Vec<_>>().join(" / ") + unit)
    };
    vec![
        row(format!("{about}: shares [6]"), move |style| {
            let shares = &style.discovery_by(chosen_by)?.share_of_calls;
            let percents: Vec<String> = shares.iter().map(|share| format!("{:.0}", share * 100.0)).collect();
            Some(percents.join(" / ") + " %")
        }),
        row("  one killed / hung / drained: failed", move |style| {
            of_each(style, |it| format!("{:.1}", it.failed_share().unwrap_or_default() * 100.0), " %")
        }),
        row("  its share again after", move |style| {
            of_each(style, |it| it.share_after_s.map_or_else(|| "no".to_owned(), |s| format!("{s:.1}")), " s")
        }),
    ]
}

fn sales() -> Vec<Row> {
    let of_each = |trouble: Trouble, say: fn(&SaleFigures) -> String| {
        move |style: &StyleFigures| {
            let mut sales = style.bookings.as_ref()?.sales.iter();
            sales.find(|sale| sale.trouble == trouble).map(say)
        }
    };
    let mut rows = Vec::new();
    for trouble in [Trouble::Nothing, Trouble::BillingKilled, Trouble::DeadlinesPass] {
        let about = format!("sale, {}: sold / harmed [7]", trouble.in_words());
        rows.push(row(about, of_each(trouble, |sale| format!("{} / {}", sale.sold, sale.harmed()))));
        rows.push(row("  sold out after", of_each(trouble, |sale| format!("{:.1} s", sale.took_s))));
        rows.push(row(
            "  a seat is held in vain, p50 / most",
            of_each(trouble, |sale| {
                let held = |it: &Quantiles| format!("{:.2} / {:.2} s", it.p50_ms / 1e3, it.max_ms / 1e3);
                sale.held_for.as_ref().map_or_else(|| "none is".to_owned(), held)
            }),
        ));
    }
    rows
}

fn freshness() -> Vec<Row> {
    vec![
        row("replica behind by, p50 / p99", |style| {
            let behind = &style.freshness.as_ref()?.replica_behind;
            let most = |of: fn(&Quantiles) -> f64| behind.values().map(of).fold(0.0, f64::max);
            Some(format!("{:.1} / {:.1} ms", most(|it| it.p50_ms), most(|it| it.p99_ms)))
        }),
        row("  orders meanwhile that used the old value", |style| {
            let freshness = style.freshness.as_ref()?;
            Some(format!("{} of {}", freshness.orders_with_old_value, freshness.orders_in_window))
        }),
    ]
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// Digits in groups of three.
fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let grouped: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    grouped.join(" ")
}
