//! Each claim, and how the figures judge it. Which style plays which part is what the registry says of it; the rest is measured.

use lab::styles::Features;

use super::claim::{Claim, Finding};
use super::pairs::{NOISE, Pair, faster_loaded};
use crate::figures::units::{count, ms, percent, plural, whole};
use crate::figures::{Load, Report, StyleFigures};

/// From this part of the orders on, a part that is away stops them.
const STOPS: f64 = 0.5;
/// What is said to stop everything may let no more than this through.
const LETS_THROUGH: f64 = 0.05;

/// All of them.
pub(super) const CLAIMS: &[Claim] = &[
    Claim {
        id: "sync-waits",
        says: "Synchronous orchestration makes the client wait for work whose result it does not need.",
        source: "Sam Newman, Building Microservices, 2nd ed., ch. 4 (blocking calls, temporal coupling)",
        judge: sync_waits,
    },
    Claim {
        id: "sync-chain",
        says: "One link that is down breaks a chain of synchronous calls.",
        source: "Eric Hanson, Synchronous Communication in Microservices Is a Trap; Chris Richardson, Microservices \
                 Patterns, ch. 3 (synchronous communication reduces availability)",
        judge: sync_chain,
    },
    Claim {
        id: "events-take-orders",
        says: "With events, work is taken on while the service that does it is away.",
        source: "Chris Richardson, Microservices Patterns, ch. 3 (asynchronous messaging improves availability)",
        judge: events_take_orders,
    },
    Claim {
        id: "thin-gets",
        says: "Thin events multiply GETs, and the read load on the owners of data.",
        source: "James Eastham, Build an Event Driven System, NDC Oslo 2024 (callbacks by every subscriber)",
        judge: thin_gets,
    },
    Claim {
        id: "fat-no-gets",
        says: "Fat events need no question to the owner of data.",
        source: "Martin Fowler, What do you mean by \"Event-Driven\"?, 2017 (event-carried state transfer)",
        judge: fat_no_gets,
    },
    Claim {
        id: "fat-stale",
        says: "Fat events pay with replicas that can be stale.",
        source: "Martin Fowler, What do you mean by \"Event-Driven\"?, 2017 (copies, eventual consistency)",
        judge: fat_stale,
    },
    Claim {
        id: "fat-bytes",
        says: "Fat events move more data around than thin ones.",
        source: "Martin Fowler, What do you mean by \"Event-Driven\"?, 2017 (lots of data moved around, lots of copies)",
        judge: fat_bytes,
    },
    Claim {
        id: "nothing-lost",
        says: "Messages are not lost while their consumer is down.",
        source: "Martin Kleppmann, Designing Data-Intensive Applications, ch. 4 (message-passing dataflow: the broker \
                 buffers)",
        judge: nothing_lost,
    },
    Claim {
        id: "events-slower-alone",
        says: "A broker in between costs time: one order at a time, events are slower.",
        source: "Microservices with Azure, Packt 2017 (the message broker pattern adds latency)",
        judge: events_slower_alone,
    },
    Claim {
        id: "events-faster-loaded",
        says: "Under load events are faster: more orders come through than with synchronous calls.",
        source: "Dinesh Dunukedeniya, Why Asynchronous Messaging Beats REST in Modern Architectures, 2025",
        judge: events_faster_loaded,
    },
    Claim {
        id: "broker-stops-all",
        says: "A broker that is down stops everything in a style with events.",
        source: "Ciaran O'Donnell, Does the message broker become a single point of failure for my system?; Chris \
                 Richardson, Microservices Patterns, ch. 3 (the broker must be highly available)",
        judge: broker_stops_all,
    },
];

/// The answer comes later than the order is decided, by the steps in between: noticeably so?
fn sync_waits(report: &Report) -> Vec<Finding> {
    let closed = |load: &Load| match *load {
        Load::Closed { in_flight } => Some(in_flight),
        Load::Open { .. } => None,
    };
    let orchestrated = report.styles_that(|it| it.orchestrates);
    let loads = orchestrated.iter().flat_map(|style| style.latency.iter().map(move |it| (style, it)));
    loads
        .filter_map(|(style, latency)| {
            let (answer, terminal) = (latency.answer.p50_ms, latency.terminal.p50_ms);
            let more = answer - terminal;
            let figures = format!(
                "{} at {} in flight answers {} after the order is decided, {} of the answer's {}",
                style.style,
                closed(&latency.load)?,
                ms(more),
                percent(more / answer),
                ms(answer),
            );
            Some(Finding::new(more > NOISE * answer, figures))
        })
        .collect()
}

/// Each service in turn: does its absence refuse orders?
fn sync_chain(report: &Report) -> Vec<Finding> {
    outages(report, |it| it.orchestrates, |refused| refused >= STOPS)
}

fn events_take_orders(report: &Report) -> Vec<Finding> {
    outages(report, |it| it.requests_are_messages, |refused| refused <= LETS_THROUGH)
}

/// What part of the orders was refused without each of the services.
fn outages(report: &Report, have: impl Fn(&Features) -> bool, holds: impl Fn(f64) -> bool) -> Vec<Finding> {
    let styles = report.styles_that(have);
    let outages = styles.iter().flat_map(|style| style.service_outages().map(move |outage| (style, outage)));
    outages
        .filter_map(|(style, outage)| {
            let refused = outage.refused_share()?;
            let figures = format!("{} without {} refuses {}", style.style, outage.part, percent(refused));
            Some(Finding::new(holds(refused), figures))
        })
        .collect()
}

/// A style with events, not all of whose data is in them: its consumers have to ask.
fn is_thin(features: &Features) -> bool {
    features.requests_are_messages && features.cost_of_a_paid_order.gets > 0
}

/// Two circumstances: the questions themselves, and the statements that the owners' databases answer.
///
/// A style that asks by RPC has no GET, and asks all the same. So its questions are not compared, but its statements are.
fn thin_gets(report: &Report) -> Vec<Finding> {
    let counted = |style: &&StyleFigures| style.is_counted();
    let others: Vec<&StyleFigures> =
        report.styles_that(|it| !is_thin(it)).into_iter().filter(counted).collect();
    let by_http: Vec<&StyleFigures> = others.iter().copied().filter(|style| style.cost.rpcs.1 == 0).collect();
    let gets = |style: &StyleFigures| whole(style.cost.gets.1 as u64);
    let mut findings = Vec::new();
    for thin in report.styles_that(is_thin).into_iter().filter(counted) {
        findings.extend(more_than(thin, &by_http, gets, "GETs per order"));
        findings.extend(more_than(
            thin,
            &others,
            statements_of_owners,
            "SQL statements of order and billing",
        ));
    }
    findings
}

/// What the services that own the data ask of their databases.
fn statements_of_owners(style: &StyleFigures) -> f64 {
    let owned = ["order", "billing"].iter().filter_map(|name| style.cost.services.get(*name));
    owned.filter_map(|service| service.sql_statements).sum()
}

/// Whether a style has more of something than each of the others; nothing where it was not counted.
fn more_than(
    style: &StyleFigures,
    others: &[&StyleFigures],
    of: impl Fn(&StyleFigures) -> f64,
    what: &str,
) -> Option<Finding> {
    let own = of(style);
    let is_counted = !others.is_empty() && (own > 0.0 || others.iter().any(|other| of(other) > 0.0));
    let all: Vec<String> = others.iter().map(|it| format!("{} in {}", count(of(it)), it.style)).collect();
    let figures = format!("{} {what} in {}, {}", count(own), style.style, all.join(", "));
    is_counted.then(|| Finding::new(others.iter().all(|it| own > (1.0 + NOISE) * of(it)), figures))
}

fn fat_no_gets(report: &Report) -> Vec<Finding> {
    let fat = report.styles_that(|it| it.has_replicas).into_iter().filter(|it| it.is_counted());
    let judge = |style: &StyleFigures| {
        let gets = style.cost.gets.1;
        let most =
            if gets == 0 { "no GET".to_owned() } else { format!("up to {}", plural(gets as u64, "GET")) };
        let figures = format!("{most} per order in {}", style.style);
        Finding::new(gets == 0, figures)
    };
    fat.map(judge).collect()
}

fn fat_stale(report: &Report) -> Vec<Finding> {
    let fat = report.styles_that(|it| it.has_replicas);
    fat.iter()
        .filter_map(|style| {
            let freshness = style.freshness.as_ref()?;
            let behind: Vec<String> = freshness
                .replica_behind
                .iter()
                .map(|(service, behind)| format!("{service} {}", ms(behind.p99_ms)))
                .collect();
            let figures = format!(
                "{}: {} of {} in the window of a change used the old value, and replicas are behind by (p99) {}",
                style.style,
                count(whole(freshness.orders_with_old_value)),
                plural(freshness.orders_in_window, "order"),
                behind.join(", "),
            );
            Some(Finding::new(freshness.orders_with_old_value > 0, figures))
        })
        .collect()
}

fn fat_bytes(report: &Report) -> Vec<Finding> {
    let fat: Vec<_> =
        report.styles_that(|it| it.has_replicas).into_iter().filter(|it| it.is_counted()).collect();
    let thin = report.styles_that(is_thin).into_iter().filter(|it| it.is_counted());
    thin.flat_map(|thin| fat.iter().map(move |fat| (thin, *fat)))
        .map(|(thin, fat)| {
            let (more, less) = (fat.cost.bytes, thin.cost.bytes);
            let figures = format!(
                "{} bytes per order in {}, {} in {}",
                count(more),
                fat.style,
                count(less),
                thin.style
            );
            Finding::new(more > (1.0 + NOISE) * less, figures)
        })
        .collect()
}

fn nothing_lost(report: &Report) -> Vec<Finding> {
    let styles = report.styles_that(Features::has_messages);
    let outages = styles.iter().flat_map(|style| style.service_outages().map(move |outage| (style, outage)));
    outages
        .map(|(style, outage)| {
            let figures = format!(
                "{} without {}: {} lost of {}, {} finished afterwards",
                style.style,
                outage.part,
                count(whole(outage.lost)),
                plural(outage.placed, "order"),
                count(whole(outage.finished_after_recovery)),
            );
            Finding::new(outage.lost == 0, figures)
        })
        .collect()
}

/// Pairs of a style with events and one that is orchestrated.
fn pairs(report: &Report) -> Vec<Pair<'_>> {
    let orchestrated = report.styles_that(|it| it.orchestrates);
    let events = report.styles_that(|it| it.requests_are_messages);
    events.iter().flat_map(|event| orchestrated.iter().map(|sync| (*event, *sync))).collect()
}

fn events_slower_alone(report: &Report) -> Vec<Finding> {
    let judge = |(event, sync): Pair<'_>| {
        let (slow, fast) = (event.latency_at(1)?.answer.p50_ms, sync.latency_at(1)?.answer.p50_ms);
        let figures =
            format!("{} answers in {}, {} in {} (p50)", event.style, ms(slow), sync.style, ms(fast));
        Some(Finding::new(slow > (1.0 + NOISE) * fast, figures))
    };
    pairs(report).into_iter().filter_map(judge).collect()
}

fn events_faster_loaded(report: &Report) -> Vec<Finding> {
    faster_loaded(report, pairs(report))
}

fn broker_stops_all(report: &Report) -> Vec<Finding> {
    let judge = |style: &&StyleFigures| {
        let refused = style.outage("broker")?.refused_share()?;
        let figures = format!("{} without the broker refuses {}", style.style, percent(refused));
        Some(Finding::new(refused >= 1.0 - LETS_THROUGH, figures))
    };
    report.styles_that(|it| it.requests_are_messages).iter().filter_map(judge).collect()
}
