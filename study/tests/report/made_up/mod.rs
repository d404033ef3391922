//! A whole report, made up: plausible, complete, and measured nowhere. Tests change what they are about.

#![allow(clippy::cast_precision_loss, reason = "made-up figures are small")]

mod faults;
mod traces;

use std::collections::BTreeMap;

use chrono::{TimeZone as _, Utc};
use study::claims;
use study::figures::{
    CostFigures, FreshnessFigures, IdleFigures, LatencyFigures, Limit, Load, MemoryFigures, Quantiles,
    Report, ServiceCostFigures, Setup, StepFigures, StyleFigures, ThroughputFigures,
};

use self::faults::{bookings, discovery, mistake, outage};
use self::traces::{command_trace, event_trace, restful_trace};

const SERVICES: [&str; 4] = ["gateway", "order", "billing", "notification"];

/// What the made-up figures of a style follow from.
struct Nature {
    name: &'static str,
    answer_ms: f64,
    /// How much later (or, negative, earlier) than the order's end the answer comes.
    answer_after_terminal_ms: f64,
    http_requests: usize,
    gets: usize,
    rpcs: usize,
    messages: usize,
    bytes: f64,
    /// Of the limit, at 1, 4, 16, 64 and 256 in flight.
    ratios: [f64; 5],
    idle_ms_per_s: f64,
}

const NATURES: [Nature; 5] = [
    Nature {
        name: "restful",
        answer_ms: 7.6,
        answer_after_terminal_ms: 1.9,
        http_requests: 4,
        gets: 1,
        rpcs: 0,
        messages: 0,
        bytes: 3_420.0,
        ratios: [0.05, 0.19, 0.38, 0.44, 0.42],
        idle_ms_per_s: 2.1,
    },
    Nature {
        name: "grpc",
        answer_ms: 9.9,
        answer_after_terminal_ms: 2.0,
        http_requests: 0,
        gets: 0,
        rpcs: 4,
        messages: 0,
        bytes: 3_480.0,
        ratios: [0.04, 0.15, 0.30, 0.36, 0.35],
        idle_ms_per_s: 4.4,
    },
    Nature {
        name: "event-notifications",
        answer_ms: 20.9,
        answer_after_terminal_ms: 4.2,
        http_requests: 5,
        gets: 5,
        rpcs: 0,
        messages: 4,
        bytes: 6_410.0,
        ratios: [0.02, 0.08, 0.22, 0.36, 0.41],
        idle_ms_per_s: 21.5,
    },
    Nature {
        name: "event-collab",
        answer_ms: 12.8,
        answer_after_terminal_ms: 1.6,
        http_requests: 0,
        gets: 0,
        rpcs: 0,
        messages: 4,
        bytes: 3_870.0,
        ratios: [0.03, 0.13, 0.41, 0.83, 1.12],
        idle_ms_per_s: 24.8,
    },
    Nature {
        name: "command-reply",
        answer_ms: 11.6,
        answer_after_terminal_ms: 2.4,
        http_requests: 1,
        gets: 0,
        rpcs: 0,
        messages: 3,
        bytes: 4_020.0,
        ratios: [0.03, 0.12, 0.34, 0.62, 0.71],
        idle_ms_per_s: 25.9,
    },
];

/// The report.
pub fn report() -> Report {
    let mut report = Report {
        made_at: Utc.with_ymd_and_hms(2026, 1, 2, 3, 4, 5).unwrap(),
        took_s: 812.0,
        quick: false,
        seed: 7,
        setup: setup(),
        limit: Some(Limit { clients: 16, orders_per_s: vec![2_610.0, 2_540.0, 2_655.0, 2_590.0] }),
        styles: NATURES.iter().map(style).collect(),
        claims: Vec::new(),
        mistakes: vec![mistake()],
    };
    report.claims = claims::check(&report);
    report
}

/// What is left of it in a quick run: no open loop, no idle, no outages, no sale, no freshness, no mistakes.
pub fn quick_report() -> Report {
    let mut report = Report { quick: true, mistakes: Vec::new(), ..report() };
    for style in &mut report.styles {
        style.availability.clear();
        style.discovery.clear();
        (style.idle, style.bookings, style.freshness) = (None, None, None);
        style.throughput.clear();
        style.latency.truncate(1);
    }
    report.limit = None;
    report.claims = claims::check(&report);
    report
}

/// What is left if nothing could be measured at all.
pub fn empty_report() -> Report {
    let mut report = quick_report();
    for style in &mut report.styles {
        let nothing = CostFigures {
            orders: 0,
            http_requests: (0, 0),
            gets: (0, 0),
            rpcs: (0, 0),
            messages: (0, 0),
            bytes: 0.0,
            writing_transactions: None,
            services: BTreeMap::new(),
        };
        (style.cost, style.memory) = (nothing, BTreeMap::new());
        style.scenario.clear();
        style.latency.clear();
        style.trace.clear();
    }
    report.claims = claims::check(&report);
    report
}

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn figures(pairs: &[(&str, f64)]) -> BTreeMap<String, f64> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

fn setup() -> Setup {
    Setup {
        machine: "made-up machine".to_owned(),
        processor: "Imaginary CPU at 3 GHz".to_owned(),
        cores: 2,
        memory_bytes: 24 << 30,
        system: "Linux 6.1".to_owned(),
        postgres: "PostgreSQL 15.13, private cluster".to_owned(),
        postgres_settings: texts(&[
            ("fsync", "on"),
            ("synchronous_commit", "on"),
            ("shared_buffers", "128MB"),
        ]),
        broker: "Apache Kafka 4.3.1".to_owned(),
        broker_in_memory: false,
        partitions: 4,
        database_connections: 10,
        settings: texts(&[("ARGON2_MEMORY_KIB", "8"), ("MAIL_LEASE", "5s")]),
        without_statements: None,
        without_limit: None,
        traces_sampled: 0.01,
    }
}

fn style(nature: &Nature) -> StyleFigures {
    let replicas = nature.name == "event-collab";
    StyleFigures {
        style: nature.name.to_owned(),
        ready_after_s: if nature.messages > 0 { 1.9 } else { 0.3 },
        scenario: ["register", "deposit", "order", "order too much"].map(|name| step(name, nature)).into(),
        cost: cost(nature),
        latency: vec![
            latency(nature, Load::Closed { in_flight: 1 }, 300, 1.0),
            latency(nature, Load::Closed { in_flight: 16 }, 4_000, 2.4),
            latency(nature, Load::Closed { in_flight: 64 }, 8_000, 7.5),
            latency(nature, Load::Open { orders_per_s: 200.0 }, 4_000, 1.3),
        ],
        throughput: [1, 4, 16, 64, 256]
            .into_iter()
            .zip(nature.ratios)
            .map(|it| throughput(nature, it))
            .collect(),
        memory: SERVICES
            .map(|name| (name.to_owned(), MemoryFigures { idle_bytes: 21.4e6, peak_bytes: 33.9e6 }))
            .into(),
        idle: Some(idle(nature)),
        availability: ["order", "billing", "notification", "broker", "database"]
            .into_iter()
            .filter(|part| *part != "broker" || nature.messages > 0)
            .map(|part| outage(nature, part))
            .collect(),
        discovery: if nature.messages > 0 { Vec::new() } else { discovery(nature.rpcs > 0) },
        bookings: (nature.name == "command-reply").then(bookings),
        freshness: replicas.then(freshness),
        violations: Vec::new(),
        trace: match nature.messages {
            0 => restful_trace(),
            3 => command_trace(),
            _ => event_trace(nature),
        },
    }
}

fn step(name: &str, nature: &Nature) -> StepFigures {
    StepFigures {
        name: name.to_owned(),
        request: format!("POST /{name}"),
        answer: "201".to_owned(),
        elapsed_ms: nature.answer_ms * 2.0,
        failure: None,
    }
}

fn cost(nature: &Nature) -> CostFigures {
    let parts = [0.25, 0.4, 0.2, 0.15];
    let service = |(name, part): (&str, f64)| {
        let talks = name != "gateway" || nature.messages > 0;
        let cost = ServiceCostFigures {
            http_requests: nature.http_requests as f64 * part,
            gets: nature.gets as f64 * part,
            rpcs: nature.rpcs as f64 * part,
            messages: nature.messages as f64 / 4.0,
            bytes: nature.bytes * part,
            sql_statements: (name != "gateway")
                .then(|| 4.0 + 3.0 * part + (nature.gets + nature.messages) as f64),
            sql_transactions: (name != "gateway").then_some(2.0),
        };
        talks.then(|| (name.to_owned(), cost))
    };
    CostFigures {
        orders: 20,
        http_requests: (nature.http_requests, nature.http_requests + nature.gets / 5),
        gets: (nature.gets, nature.gets),
        rpcs: (nature.rpcs, nature.rpcs),
        messages: (nature.messages, nature.messages),
        bytes: nature.bytes,
        writing_transactions: Some(6.0),
        services: SERVICES.into_iter().zip(parts).filter_map(service).collect(),
    }
}

/// A distribution with a tail.
pub fn quantiles(p50_ms: f64) -> Quantiles {
    let at = |share: f64| {
        p50_ms
            * (0.7 + 0.3 * (share / 0.5).powi(3).min(1.0) + 0.5 * -(1.0 - share).max(5e-4).log10().min(-0.3)
                - 0.15)
    };
    let shares = (0..20).map(|step| f64::from(step) / 20.0).chain([0.97, 0.99, 0.995, 0.999, 1.0]);
    Quantiles {
        p50_ms,
        p95_ms: at(0.95),
        p99_ms: at(0.99),
        max_ms: at(1.0),
        curve: shares.map(|share| (share, at(share))).collect(),
    }
}

fn latency(nature: &Nature, load: Load, orders: u64, factor: f64) -> LatencyFigures {
    // What is slow alone is faster in company, as batches go.
    let factor = if nature.name == "event-collab" { factor.sqrt() } else { factor };
    let answer = nature.answer_ms * factor;
    LatencyFigures {
        load,
        orders,
        answer: quantiles(answer),
        terminal: quantiles(answer - nature.answer_after_terminal_ms * factor),
        email: quantiles(answer * 1.4),
    }
}

fn throughput(nature: &Nature, (in_flight, ratio): (usize, f64)) -> ThroughputFigures {
    let runs = [0.94, 1.0, 1.05];
    let broker = if nature.messages > 0 { 0.21 } else { 0.08 };
    ThroughputFigures {
        in_flight,
        orders_per_s: runs.map(|run| run * ratio * 2_600.0).into(),
        ratio: runs.map(|run| run * ratio).into(),
        cpu_ms_per_order: figures(&[
            ("gateway", 0.09 / ratio.max(0.1)),
            ("order", 0.2 / ratio.max(0.2)),
            ("billing", 0.15 / ratio.max(0.2)),
            ("notification", 0.12 / ratio.max(0.3)),
            ("postgres", 0.4 / ratio.max(0.3)),
            ("broker and client", broker / ratio.max(0.2)),
        ]),
        emails_drained_after_s: 0.4 + in_flight as f64 / 200.0,
        other_answers: if in_flight == 256 { BTreeMap::from([(202, 3)]) } else { BTreeMap::new() },
    }
}

fn idle(nature: &Nature) -> IdleFigures {
    let part = nature.idle_ms_per_s / 6.0;
    let mut cpu: Vec<(&str, f64)> = SERVICES.iter().map(|name| (*name, part)).collect();
    cpu.extend([("postgres", part), ("broker and client", part)]);
    let rate = |per_service: f64| figures(&SERVICES.map(|name| (name, per_service)));
    let events = nature.messages > 0;
    IdleFigures {
        watched_s: 10.0,
        cpu_ms_per_s: figures(&cpu),
        sql_statements_per_s: rate(if events { 12.0 } else { 1.0 }),
        http_requests_per_s: rate(0.0),
        rpcs_per_s: rate(0.0),
        broker_requests_per_s: if events { rate(9.5) } else { BTreeMap::new() },
    }
}

fn freshness() -> FreshnessFigures {
    FreshnessFigures {
        changes: 500,
        replica_behind: [("order", 6.2), ("notification", 7.4)]
            .map(|(name, ms)| (name.to_owned(), quantiles(ms)))
            .into(),
        orders_in_window: 214,
        orders_with_old_value: 31,
    }
}
