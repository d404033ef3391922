//! What is said of orchestration beside choreography: who knows whom, who knows the flow, what a further step takes, and what stops
//! everything. Counted in the code, and in what happened while a service was away.

use super::claim::{Claim, Finding};
use super::knowledge::{Knowledge, Named, is_choreographed};
use super::pairs::NOISE;
use crate::figures::units::{count, list, percent, plural, whole};
use crate::figures::{Report, StyleFigures};

/// From this part of the orders on, a part that is away stops them.
const STOPS: f64 = 0.5;

/// All of them.
pub(super) const CLAIMS: &[Claim] = &[
    Claim {
        id: "saga-participants",
        says: "Participants of an orchestrated saga know nobody. With choreography, each service knows those whose events it hears.",
        source: "Azure Architecture Center, Saga distributed transactions pattern \
                 (learn.microsoft.com/azure/architecture/patterns/saga: with an orchestrator a participant need not know what \
                 the others are told); Chris Richardson, Microservices Patterns, ch. 4 (orchestration: less coupling)",
        judge: participants,
    },
    Claim {
        id: "choreography-loose",
        says: "Choreography couples services more loosely than orchestration does.",
        source: "Mattia Tommasone, Saga pattern, slides (slides.com/mattiatommasone/saga-pattern: loose against tight). \
                 Against it: Bernd Rücker, Balancing Choreography and Orchestration, GOTOpia 2020 (chains of events couple more, \
                 often unnoticed)",
        judge: looser,
    },
    Claim {
        id: "saga-flow",
        says: "An orchestrator has the flow in one place. With choreography it is spread over the services.",
        source: "Martin Fowler, What do you mean by \"Event-Driven\"?, 2017 (no program text says what the flow is); Bernd Rücker and \
                 Martin Schimak, Know the Flow! Microservices and Event Choreographies, InfoQ 2017",
        judge: flow_in_one_place,
    },
    Claim {
        id: "saga-circles",
        says: "Choreography leads to circular dependencies between services, and orchestration avoids them.",
        source: "Azure Architecture Center, Saga distributed transactions pattern (participants consume what the others send); Chris \
                 Richardson, Microservices Patterns, ch. 4 (cyclic dependencies; orchestration: simpler dependencies)",
        judge: circles,
    },
    Claim {
        id: "saga-step",
        says: "With an orchestrator, a further step changes the orchestrator and none of the services that take the other steps.",
        source: "Azure Architecture Center, Saga distributed transactions pattern (orchestration suits flows to which services are \
                 added; choreography gets confusing there). Against it: Workflow Orchestration vs Choreography, mortalapps.com \
                 (a further consumer changes nobody, a further step changes the orchestrator)",
        judge: further_step,
    },
    Claim {
        id: "orchestrator-stops-all",
        says: "An orchestrator is a single point of failure: while it is away, no order goes on.",
        source: "Azure Architecture Center, Saga distributed transactions pattern (a point of failure, since it manages the whole flow)",
        judge: orchestrator_away,
    },
    Claim {
        id: "choreography-no-single-point",
        says: "Choreography has no single point of failure, because the work is spread over its services.",
        source: "Azure Architecture Center, Saga distributed transactions pattern (responsibilities are distributed)",
        judge: choreography_without_one,
    },
];

/// What is known of each style whose trace was recorded.
fn known(report: &Report) -> Vec<(&StyleFigures, Knowledge, bool)> {
    let choreographed = |style: &StyleFigures| style.features().is_some_and(is_choreographed);
    let all =
        report.styles.iter().filter_map(|style| Some((style, Knowledge::of(style)?, choreographed(style))));
    all.collect()
}

/// The same where services send each other messages.
fn by_message(report: &Report) -> Vec<(&StyleFigures, Knowledge, bool)> {
    known(report).into_iter().filter(|(_, knowledge, _)| knowledge.has_messages()).collect()
}

fn lines(named: Named) -> String {
    if named.lines == 0 {
        "no line".to_owned()
    } else {
        format!("{} of {}", plural(named.lines, "line"), plural(named.files, "file"))
    }
}

fn participants(report: &Report) -> Vec<Finding> {
    let judge = |(style, knowledge, choreographed): (&StyleFigures, Knowledge, bool)| {
        let finding = |service: &str| {
            let named = knowledge.names_others(service);
            let figures =
                format!("{service} of {} names messages of others in {}", style.style, lines(named));
            Finding::new((named.lines > 0) == choreographed, figures)
        };
        knowledge.participants().into_iter().map(finding).collect::<Vec<_>>()
    };
    by_message(report).into_iter().flat_map(judge).collect()
}

/// Two measures: who knows whom, and in how many lines.
fn looser(report: &Report) -> Vec<Finding> {
    let (choreographed, orchestrated): (Vec<_>, Vec<_>) = by_message(report).into_iter().partition(|it| it.2);
    let compare = |(one, loose, _): &(&StyleFigures, Knowledge, bool)| {
        let against = |(other, tight, _): &(&StyleFigures, Knowledge, bool)| {
            let finding = |measured: [u64; 2], what: &str| {
                let [less, more] = measured.map(whole);
                let figures =
                    format!("{} {what} in {}, {} in {}", count(less), one.style, count(more), other.style);
                Finding::new(less < (1.0 - NOISE) * more, figures)
            };
            let pairs = [loose, tight].map(|it| it.knows().len() as u64);
            let named = [loose, tight].map(Knowledge::lines_that_name_others);
            [
                finding(pairs, "times one service knows another for an order"),
                finding(named, "lines that name another service's messages"),
            ]
        };
        orchestrated.iter().flat_map(against).collect::<Vec<_>>()
    };
    choreographed.iter().flat_map(compare).collect()
}

fn flow_in_one_place(report: &Report) -> Vec<Finding> {
    let judge = |(style, knowledge, choreographed): (&StyleFigures, Knowledge, bool)| {
        let deciders = knowledge.deciders();
        let figures = format!("in {} it is for {} to say what is done next", style.style, list(&deciders));
        Finding::new((deciders.len() > 1) == choreographed, figures)
    };
    by_message(report).into_iter().map(judge).collect()
}

fn circles(report: &Report) -> Vec<Finding> {
    let judge = |(style, knowledge, choreographed): (&StyleFigures, Knowledge, bool)| {
        let circle = knowledge.circle();
        let figures = match circle.as_slice() {
            [] => format!("no circle in {}", style.style),
            services => format!("{} depend on each other in {}", list(services), style.style),
        };
        Finding::new(circle.is_empty() != choreographed, figures)
    };
    known(report).into_iter().map(judge).collect()
}

/// Each service that takes another step, where orders may have a ticket: does it name what only these orders need?
fn further_step(report: &Report) -> Vec<Finding> {
    let with_a_ticket = |style: &StyleFigures| style.features().is_some_and(|it| it.has_bookings);
    let judge = |(style, knowledge, _): (&StyleFigures, Knowledge, bool)| {
        let beyond = knowledge.beyond_the_flow();
        let say = |service: &str| beyond.get(service).map_or_else(String::new, |named| lines(*named));
        let orchestrators = knowledge.deciders();
        let paid: Vec<String> = orchestrators.iter().map(|it| format!("{} of {it}", say(it))).collect();
        let finding = |service: &str| {
            let named = beyond.get(service).copied().unwrap_or_default();
            let figures = format!(
                "the ticket of {} is in {} of {service}, beside {}",
                style.style,
                lines(named),
                list(&paid),
            );
            Finding::new(named.lines == 0, figures)
        };
        knowledge.participants().into_iter().map(finding).collect::<Vec<_>>()
    };
    by_message(report).into_iter().filter(|(style, ..)| with_a_ticket(style)).flat_map(judge).collect()
}

/// In every orchestrated style it is the order service.
fn orchestrator_away(report: &Report) -> Vec<Finding> {
    let orchestrated = report.styles_that(|it| !is_choreographed(it)).into_iter();
    let judge = |style: &StyleFigures| {
        let refused = style.outage("order")?.refused_share()?;
        let figures = format!("{} without order refuses {}", style.style, percent(refused));
        Some(Finding::new(refused >= STOPS, figures))
    };
    orchestrated.filter_map(judge).collect()
}

/// Each service in turn: are orders decided while it is away?
fn choreography_without_one(report: &Report) -> Vec<Finding> {
    let styles = report.styles_that(is_choreographed);
    let outages = styles.iter().flat_map(|style| style.service_outages().map(move |outage| (style, outage)));
    outages
        .filter(|(_, outage)| outage.placed > 0)
        .map(|(style, outage)| {
            let later = outage.finished_after_recovery + outage.refused + outage.lost;
            let decided = whole(outage.placed.saturating_sub(later)) / whole(outage.placed);
            let figures =
                format!("{} without {} decides {} of the orders", style.style, outage.part, percent(decided));
            Finding::new(1.0 - decided < STOPS, figures)
        })
        .collect()
}
