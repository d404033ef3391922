//! An order's sequence diagram, read from its trace: who asked whom, who told whom, when. Written as Mermaid and drawn as SVG.

use std::fmt::Write as _;

use askama::Template;

use crate::figures::SpanFigures;
use crate::figures::units;

/// In this order, from left to right; others follow.
const PARTICIPANTS: [&str; 6] = ["client", "gateway", "order", "billing", "notification", SMTP];

const SMTP: &str = "SMTP";

/// Who is at the other end of a call that nobody's span answers.
fn named(peer: Option<&str>) -> &str {
    match peer {
        Some("smtp") => SMTP,
        Some(peer) => peer,
        None => "unknown",
    }
}

/// What one order did.
pub(crate) struct Sequence {
    pub(crate) participants: Vec<String>,
    pub(crate) arrows: Vec<Arrow>,
}

/// One line from one participant to another.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Arrow {
    pub(crate) at_ms: f64,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) kind: Kind,
    pub(crate) says: String,
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    Answer,
    Message,
}

impl Sequence {
    /// Reads the spans of one trace.
    pub(crate) fn of(spans: &[SpanFigures]) -> Self {
        let mut arrows: Vec<Arrow> = spans.iter().flat_map(|span| arrows_of(span, spans)).collect();
        arrows.sort_by(|a, b| a.at_ms.total_cmp(&b.at_ms));
        let mentioned = |name: &str| arrows.iter().any(|arrow| arrow.from == name || arrow.to == name);
        let mut participants: Vec<String> =
            PARTICIPANTS.iter().filter(|name| mentioned(name)).map(ToString::to_string).collect();
        for arrow in &arrows {
            for name in [&arrow.from, &arrow.to] {
                if !participants.contains(name) {
                    participants.push(name.clone());
                }
            }
        }
        Self { participants, arrows }
    }

    /// As a Mermaid diagram.
    pub(crate) fn mermaid(&self, style: &str) -> String {
        let mut text = format!("%% One paid order in the style {style}, from its trace\nsequenceDiagram\n");
        for name in &self.participants {
            let role = if name == "client" { "actor" } else { "participant" };
            let _ = writeln!(text, "    {role} {name}");
        }
        for Arrow { at_ms, from, to, kind, says } in &self.arrows {
            let line = match kind {
                Kind::Request => "->>",
                Kind::Answer => "-->>",
                Kind::Message => "-)",
            };
            let _ = writeln!(text, "    {from}{line}{to}: {says} [{at_ms:.1} ms]");
        }
        text
    }

    /// As a drawing; `about` is what somebody hears who cannot see it.
    ///
    /// # Errors
    /// If the template cannot be filled.
    pub(crate) fn svg(&self, about: &str) -> askama::Result<String> {
        Drawing::of(self, about).render()
    }
}

/// What one span has to say: nothing, or a request with its answer, or a message to each of its consumers.
fn arrows_of(span: &SpanFigures, spans: &[SpanFigures]) -> Vec<Arrow> {
    let caused = |kind: &str| -> Vec<&SpanFigures> {
        spans.iter().filter(|it| it.kind == kind && it.parent.as_deref() == Some(&span.id)).collect()
    };
    match span.kind.as_str() {
        "server" if !spans.iter().any(|it| span.parent.as_deref() == Some(&it.id)) => {
            request("client", &span.service, span, &span.name)
        }
        "client" => match caused("server").first() {
            Some(answerer) => request(&span.service, &answerer.service, span, &answerer.name),
            None => request(&span.service, named(span.peer.as_deref()), span, &span.name),
        },
        "producer" => {
            let heard_by = caused("consumer");
            let message = span.name.trim_start_matches("send ");
            let arrow = |to: &str, at_ms: f64| Arrow {
                at_ms,
                from: span.service.clone(),
                to: to.to_owned(),
                kind: Kind::Message,
                says: message.to_owned(),
            };
            if heard_by.is_empty() {
                let topic = span.peer.as_deref().unwrap_or("broker");
                return vec![arrow(&format!("topic {topic}"), span.started_after_ms)];
            }
            heard_by.iter().map(|consumer| arrow(&consumer.service, consumer.started_after_ms)).collect()
        }
        _ => Vec::new(),
    }
}

fn request(from: &str, to: &str, span: &SpanFigures, says: &str) -> Vec<Arrow> {
    let asks = Arrow {
        at_ms: span.started_after_ms,
        from: from.to_owned(),
        to: to.to_owned(),
        kind: Kind::Request,
        says: says.to_owned(),
    };
    let status = match span.status {
        Some(status) => status.to_string(),
        // Its span has no status.
        None if to == SMTP => "done".to_owned(),
        None => "no answer".to_owned(),
    };
    let answer = Arrow {
        at_ms: span.started_after_ms + span.took_ms,
        from: to.to_owned(),
        to: from.to_owned(),
        kind: Kind::Answer,
        says: status,
    };
    vec![asks, answer]
}

/// The SVG's measures, in its own units.
const LEFT: usize = 56;
const COLUMN: usize = 88;
const TOP: usize = 34;
const ROW: usize = 27;

#[derive(Template)]
#[template(path = "sequence.svg")]
struct Drawing<'a> {
    about: &'a str,
    width: usize,
    height: usize,
    lifelines: Vec<(usize, &'a str)>,
    lines: Vec<Line<'a>>,
}

/// An arrow where it is drawn.
struct Line<'a> {
    time: String,
    y: usize,
    from: usize,
    to: usize,
    middle: usize,
    class: &'static str,
    says: &'a str,
}

impl<'a> Drawing<'a> {
    fn of(sequence: &'a Sequence, about: &'a str) -> Self {
        let x = |name: &str| {
            let column = sequence.participants.iter().position(|it| it == name).unwrap_or_default();
            LEFT + COLUMN * column + COLUMN / 2
        };
        let lines = sequence.arrows.iter().enumerate().map(|(row, arrow)| {
            let (from, to) = (x(&arrow.from), x(&arrow.to));
            Line {
                time: units::ms(arrow.at_ms),
                y: TOP + ROW * row + ROW,
                from,
                // Room for the head.
                to: if to > from { to - 2 } else { to + 2 },
                middle: usize::midpoint(from, to),
                class: match arrow.kind {
                    Kind::Request => "request",
                    Kind::Answer => "answer",
                    Kind::Message => "message",
                },
                says: &arrow.says,
            }
        });
        Self {
            about,
            width: LEFT + COLUMN * sequence.participants.len(),
            height: TOP + ROW * (sequence.arrows.len() + 1),
            lifelines: sequence.participants.iter().map(|name| (x(name), name.as_str())).collect(),
            lines: lines.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(
        id: &str,
        parent: Option<&str>,
        service: &str,
        kind: &str,
        name: &str,
        at_ms: f64,
    ) -> SpanFigures {
        SpanFigures {
            id: id.to_owned(),
            parent: parent.map(str::to_owned),
            service: service.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            started_after_ms: at_ms,
            took_ms: 2.0,
            peer: Some("billing".to_owned()),
            status: matches!(kind, "client" | "server").then_some(200),
        }
    }

    #[test]
    fn a_trace_becomes_requests_answers_and_messages_in_their_order() {
        let spans = [
            span("1", None, "gateway", "server", "POST /orders", 0.0),
            span("2", Some("1"), "gateway", "client", "GET order", 0.5),
            span("3", Some("2"), "order", "server", "GET /orders/{orderId}", 0.7),
            span("4", Some("3"), "order", "producer", "send OrderProcessed", 1.0),
            span("5", Some("4"), "notification", "consumer", "process OrderProcessed", 3.0),
            span("6", Some("5"), "notification", "internal", "thinking", 3.5),
            span("7", Some("5"), "notification", "producer", "send Nothing", 4.0),
        ];
        let sequence = Sequence::of(&spans);
        assert_eq!(sequence.participants, ["client", "gateway", "order", "notification", "topic billing"]);
        assert_eq!(
            sequence.mermaid("made-up"),
            "%% One paid order in the style made-up, from its trace\nsequenceDiagram\n\
             \u{20}   actor client\n    participant gateway\n    participant order\n    \
             participant notification\n    participant topic billing\n    \
             client->>gateway: POST /orders [0.0 ms]\n    \
             gateway->>order: GET /orders/{orderId} [0.5 ms]\n    \
             gateway-->>client: 200 [2.0 ms]\n    order-->>gateway: 200 [2.5 ms]\n    \
             order-)notification: OrderProcessed [3.0 ms]\n    \
             notification-)topic billing: Nothing [4.0 ms]\n"
        );
    }
}
