//! What is said of typed RPC (gRPC) beside JSON over HTTP/1.1, and how the figures judge it.

use lab::styles::{Features, Service};

use super::claim::{Claim, Finding};
use super::pairs::{NOISE, Pair, faster_loaded};
use crate::figures::units::{count, ms, percent, whole};
use crate::figures::{ChosenBy, DiscoveryFigures, Report, Strike, StrikeFigures, StyleFigures, who_chooses};

/// "A third to a tenth of JSON": the larger of the two.
const A_THIRD: f64 = 1.0 / 3.0;
/// All calls go to one instance: from this part of them on.
const STICKS: f64 = 0.95;
/// Calls are spread over two instances: up to this part of them goes to one.
const SPREAD: f64 = 0.6;
/// So they are if each call has its turn.
const IN_TURN: f64 = 0.55;
/// The part of the orders that may fail when one of two instances is killed.
const FAILED_MAX: f64 = 0.001;
/// A new instance is to have its share within so many seconds.
const SHARE_WITHIN_S: f64 = 5.0;

/// All of them.
pub(super) const CLAIMS: &[Claim] = &[
    Claim {
        id: "rpc-faster-alone",
        says: "Typed RPC over HTTP/2 answers faster than JSON over HTTP/1.1, one request at a time.",
        source: "Benjamin Cane, Why is gRPC so much faster than a JSON-based REST API? (half of the latency); Luiz Soares, Small \
                 Payload Latency: Why gRPC Beats REST in Microservices, 2024 (medians of 0.71 and 3.23 ms, 0.76 KB, Go). Against \
                 it: Simple gRPC vs. REST comparison is not showing performance benefits, grpc/grpc-dotnet, 2021 (226 and 170 µs; \
                 James Newton-King: HTTP/1.1 is good at one request after the other, and so little data gains little)",
        judge: faster_alone,
    },
    Claim {
        id: "rpc-faster-loaded",
        says: "Under load typed RPC carries more requests than JSON over HTTP/1.1.",
        source: "Muhammad Niswar et al., Performance Evaluation of Microservices Communication with REST, GraphQL, and gRPC, \
                 2024, doi 10.24425/ijet.2024.149562 (gRPC has the shortest response times with 100 to 500 requests). With a \
                 condition: Martin Johansson and Isabella Olivos, Comparative Study of REST and gRPC for Microservices in \
                 Established Software Architectures, 2023 (the larger what is sent)",
        judge: faster_under_load,
    },
    Claim {
        id: "rpc-less-cpu",
        says: "Typed RPC needs less processor time for the same work, because binary is cheaper to read than text.",
        source: "Benjamin Cane, Why is gRPC so much faster than a JSON-based REST API? (faster to serialise, faster to process)",
        judge: less_cpu,
    },
    Claim {
        id: "rpc-fewer-bytes",
        says: "The same data takes a third to a tenth of the bytes of JSON.",
        source: "James Newton-King, Compare gRPC services with HTTP APIs (small and binary, large and readable); medisco.io, gRPC \
                 vs REST for internal APIs (about a tenth). They count what is sent without its headers",
        judge: fewer_bytes,
    },
    Claim {
        id: "rpc-sticks",
        says: "Behind a balancer that counts connections, all calls of a gRPC client go to one instance.",
        source: "William Morgan, gRPC Load Balancing on Kubernetes without Tears, 2018; Benjamin Cane, Why is gRPC so much faster \
                 than a JSON-based REST API? (unbalanced with connection-based balancing)",
        judge: sticks,
    },
    Claim {
        id: "rest-spreads",
        says: "The same balancer spreads JSON over HTTP/1.1, because its connections are many and short.",
        source: "gRPC load balancing 2026, blog.rajpoot.dev (each request is a connection of its own); Is Your L4 Load Balancer \
                 Blind to Your Long-Lived gRPC Streams?, loke.dev (clients often opened a new connection for every request)",
        judge: rest_spreads,
    },
    Claim {
        id: "rpc-new-gets-nothing",
        says: "Behind that balancer a new instance gets no calls from gRPC clients that are connected already.",
        source: "gRPC load balancing 2026, blog.rajpoot.dev (pods were added, and the load did not move)",
        judge: new_gets_nothing,
    },
    Claim {
        id: "rpc-client-side",
        says: "A gRPC client that knows all addresses and chooses for each call cures both, and survives the death of one.",
        source: "Sagar Maheshwary, Understanding gRPC Client-Side Load Balancing with DNS (the client decides for each RPC; retries \
                 for instances that go down)",
        judge: client_side,
    },
];

/// What no figure of a run will ever judge: facts of the protocol. Who says it, and where the answer is.
pub(super) struct Elsewhere {
    pub(super) says: &'static str,
    pub(super) source: &'static str,
    /// In Markdown, seen from `study/`.
    pub(super) answer: &'static str,
}

/// All of these.
pub(super) const ELSEWHERE: &[Elsewhere] = &[
    Elsewhere {
        says: "Browsers cannot call gRPC without a proxy or gRPC-Web.",
        source: "James Newton-King, Compare gRPC services with HTTP APIs",
        answer: "So it is, and so clients speak HTTP and JSON with the gateway: [grpc](../grpc/README.md)",
    },
    Elsewhere {
        says: "gRPC streams in both directions at once, which HTTP APIs do not.",
        source: "James Newton-King, Compare gRPC services with HTTP APIs. With a warning: the gRPC project, Performance Best \
                 Practices (a stream that has begun cannot be balanced)",
        answer: "Not measured: no service here has a stream, and the [build refuses one](../docs/adr/0028-grpc.md)",
    },
    Elsewhere {
        says: "Numbers of fields keep old clients working, so adding is safe; a number must never be used again.",
        source: "Hüseyin Babal, gRPC Microservices in Go, Manning 2023, ch. 3",
        answer: "It depends: each change was [tried](../docs/EVOLUTION.md). A number that is used again is wrong without a word. \
                 A name may change, which JSON does not allow. But a field that must be there breaks every old client, and no \
                 tool says so",
    },
];

fn is_typed(features: &Features) -> bool {
    features.orchestrates && features.has_rpcs()
}

fn is_plain(features: &Features) -> bool {
    features.orchestrates && features.cost_of_a_paid_order.http_requests > 0
}

/// Pairs of an orchestrated style with typed RPCs and one with plain requests.
fn typed_and_plain(report: &Report) -> Vec<Pair<'_>> {
    let plain = report.styles_that(is_plain);
    let typed = report.styles_that(is_typed);
    typed.iter().flat_map(|typed| plain.iter().map(|plain| (*typed, *plain))).collect()
}

fn faster_alone(report: &Report) -> Vec<Finding> {
    let judge = |(typed, plain): Pair<'_>| {
        let (one, other) = (typed.latency_at(1)?.answer.p50_ms, plain.latency_at(1)?.answer.p50_ms);
        let figures =
            format!("{} answers in {}, {} in {} (p50)", typed.style, ms(one), plain.style, ms(other));
        Some(Finding::new(one < (1.0 - NOISE) * other, figures))
    };
    typed_and_plain(report).into_iter().filter_map(judge).collect()
}

fn faster_under_load(report: &Report) -> Vec<Finding> {
    faster_loaded(report, typed_and_plain(report))
}

/// Two circumstances: alone, and with as many in flight as there are figures of.
fn less_cpu(report: &Report) -> Vec<Finding> {
    let judge = |(typed, plain): Pair<'_>| {
        let loads: Vec<usize> = typed.throughput.iter().map(|run| run.in_flight).collect();
        let mut ends: Vec<usize> =
            [loads.iter().min(), loads.iter().max()].into_iter().flatten().copied().collect();
        ends.dedup();
        let at = |in_flight: usize| {
            let (one, other) = (of_services(typed, in_flight)?, of_services(plain, in_flight)?);
            let figures = format!(
                "an order with {in_flight} in flight takes {} of a processor in {}'s services, {} in {}'s",
                ms(one),
                typed.style,
                ms(other),
                plain.style
            );
            Some(Finding::new(one < (1.0 - NOISE) * other, figures))
        };
        ends.into_iter().filter_map(at).collect::<Vec<_>>()
    };
    typed_and_plain(report).into_iter().flat_map(judge).collect()
}

/// Processor time of an order in the services alone; `None` where it was not measured.
fn of_services(style: &StyleFigures, in_flight: usize) -> Option<f64> {
    let run = style.throughput_at(in_flight)?;
    let of_services = run.cpu_ms_per_order.iter().filter(|(who, _)| Service::named(who).is_some());
    Some(of_services.map(|(_, ms)| ms).sum()).filter(|sum| *sum > 0.0)
}

/// Two things are claimed: that it is less, and how much less it is.
fn fewer_bytes(report: &Report) -> Vec<Finding> {
    let counted =
        typed_and_plain(report).into_iter().filter(|(typed, plain)| typed.is_counted() && plain.is_counted());
    let judge = |(typed, plain): Pair<'_>| {
        let (less, more) = (typed.cost.bytes, plain.cost.bytes);
        let both = format!(
            "{} bytes per order in {}, {} in {}, headers included",
            count(less),
            typed.style,
            count(more),
            plain.style
        );
        let part = format!("that is {}, where a third or less is claimed", percent(less / more));
        [Finding::new(less < (1.0 - NOISE) * more, both), Finding::new(less <= A_THIRD * more, part)]
    };
    counted.flat_map(judge).collect()
}

/// Styles that were tried with two instances, where `chosen_by` chooses between them.
fn tried(
    report: &Report,
    have: impl Fn(&Features) -> bool,
    chosen_by: ChosenBy,
) -> Vec<(&str, &DiscoveryFigures)> {
    let styles = report.styles_that(have).into_iter();
    styles.filter_map(|style| Some((style.style.as_str(), style.discovery_by(chosen_by)?))).collect()
}

/// Which part of the calls goes to one of two instances, and whether that is what is claimed.
fn largest_share((style, found): (&str, &DiscoveryFigures), holds: impl Fn(f64) -> bool) -> Option<Finding> {
    let share = found.largest_share()?;
    let figures = format!("one of two instances answers {} of {style}'s calls", percent(share));
    Some(Finding::new(holds(share), figures))
}

fn sticks(report: &Report) -> Vec<Finding> {
    let tried = tried(report, is_typed, ChosenBy::Balancer).into_iter();
    tried.filter_map(|it| largest_share(it, |share| share >= STICKS)).collect()
}

fn rest_spreads(report: &Report) -> Vec<Finding> {
    let tried = tried(report, is_plain, ChosenBy::Balancer).into_iter();
    tried.filter_map(|it| largest_share(it, |share| share <= SPREAD)).collect()
}

/// An instance that was started again is a new one to its callers: they had lost their connections to it.
fn new_gets_nothing(report: &Report) -> Vec<Finding> {
    let judge = |(style, found): (&str, &DiscoveryFigures)| {
        let started = [Strike::Killed, Strike::Drained].into_iter().filter_map(|strike| found.strike(strike));
        let finding = |strike: &StrikeFigures| {
            let figures = format!(
                "{style}: one that was {} and started again has its share {}",
                strike.strike.in_words(),
                who_chooses::share_again(strike)
            );
            Finding::new(strike.share_after_s.is_none(), figures)
        };
        started.map(finding).collect::<Vec<_>>()
    };
    tried(report, is_typed, ChosenBy::Balancer).into_iter().flat_map(judge).collect()
}

/// Three things: calls are spread, next to none fails when an instance is killed, and one that comes gets its share.
fn client_side(report: &Report) -> Vec<Finding> {
    let judge = |it: (&str, &DiscoveryFigures)| {
        let (style, found) = it;
        let killed = found.strike(Strike::Killed);
        let failed = killed.and_then(|strike| {
            let share = strike.failed_share()?;
            let figures = format!(
                "{} of {} orders fail in {style} when one is killed",
                count(whole(strike.failed)),
                count(whole(strike.placed)),
            );
            Some(Finding::new(share <= FAILED_MAX, figures))
        });
        let back = killed.map(|strike| {
            let figures = format!("started again it has its share {}", who_chooses::share_again(strike));
            Finding::new(strike.share_after_s.is_some_and(|after_s| after_s <= SHARE_WITHIN_S), figures)
        });
        [largest_share(it, |share| share <= IN_TURN), failed, back].into_iter().flatten().collect::<Vec<_>>()
    };
    tried(report, is_typed, ChosenBy::Caller).into_iter().flat_map(judge).collect()
}
