//! Made-up traces of one order.

use study::figures::SpanFigures;

use super::Nature;

/// Spans as they come, numbered.
#[derive(Default)]
struct Spans(Vec<SpanFigures>);

impl Spans {
    fn add(
        &mut self,
        parent: Option<usize>,
        service: &str,
        kind: &str,
        name: &str,
        (from, to): (f64, f64),
    ) -> usize {
        self.0.push(SpanFigures {
            id: format!("{:016x}", self.0.len() + 1),
            parent: parent.map(|parent| self.0[parent].id.clone()),
            service: service.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            started_after_ms: from,
            took_ms: to - from,
            peer: None,
            status: match kind {
                "client" | "server" if name.starts_with("GET") => Some(200),
                "client" | "server" if name.contains("email") => Some(202),
                "client" | "server" if name.contains("withdraw") => Some(200),
                "client" | "server" => Some(201),
                _ => None,
            },
        });
        self.0.len() - 1
    }

    /// A request and who answers it; the answering span.
    fn call(
        &mut self,
        parent: usize,
        (from, to): (&str, &str),
        what: &str,
        (start, end): (f64, f64),
    ) -> usize {
        let client = self.add(Some(parent), from, "client", what, (start, end));
        self.add(Some(client), to, "server", what, (start + 0.2, end - 0.2))
    }

    /// A message and who handles it; the handling span.
    fn message(
        &mut self,
        parent: usize,
        (from, to): (&str, &str),
        what: &str,
        (sent, handled): (f64, f64),
    ) -> usize {
        let send = self.add(Some(parent), from, "producer", &format!("send {what}"), (sent, sent + 0.8));
        self.add(Some(send), to, "consumer", &format!("process {what}"), (handled, handled + 2.0))
    }
}

pub(super) fn restful_trace() -> Vec<SpanFigures> {
    let mut spans = Spans::default();
    let gateway = spans.add(None, "gateway", "server", "POST /orders", (0.0, 7.6));
    let order = spans.call(gateway, ("gateway", "order"), "POST /orders", (0.2, 7.4));
    spans.call(order, ("order", "billing"), "GET /billing/user/{userId}", (0.6, 1.5));
    spans.call(order, ("order", "billing"), "POST /billing/withdraw/{userId}", (2.7, 4.6));
    spans.call(order, ("order", "notification"), "POST /notification/email/{userId}", (5.6, 7.0));
    spans.0
}

pub(super) fn command_trace() -> Vec<SpanFigures> {
    let mut spans = Spans::default();
    let gateway = spans.add(None, "gateway", "server", "POST /orders", (0.0, 11.6));
    let order = spans.call(gateway, ("gateway", "order"), "POST /orders", (0.2, 11.4));
    let withdrawal = spans.message(order, ("order", "billing"), "WithdrawMoney", (2.2, 3.6));
    let withdrawn = spans.message(withdrawal, ("billing", "order"), "MoneyWithdrawn", (5.3, 6.4));
    spans.message(withdrawn, ("order", "notification"), "SendEmail", (9.8, 11.1));
    spans.0
}

pub(super) fn event_trace(nature: &Nature) -> Vec<SpanFigures> {
    let mut spans = Spans::default();
    let thin = nature.gets > 0;
    let gateway = spans.add(None, "gateway", "server", "POST /orders", (0.0, nature.answer_ms));
    let requested = spans.message(gateway, ("gateway", "order"), "OrderCreationRequested", (0.4, 2.2));
    if thin {
        spans.call(requested, ("order", "billing"), "GET /billing/user/{userId}", (2.3, 3.1));
    }
    let withdrawal = spans.message(requested, ("order", "billing"), "WithdrawalRequested", (4.2, 5.6));
    if thin {
        spans.call(withdrawal, ("billing", "order"), "GET /orders/{orderId}", (5.7, 6.5));
    }
    let withdrawn = spans.message(withdrawal, ("billing", "order"), "WithdrawalProcessed", (7.3, 8.4));
    let processed = spans.message(withdrawn, ("order", "notification"), "OrderProcessed", (9.8, 11.1));
    if thin {
        spans.call(gateway, ("gateway", "order"), "GET /orders/{orderId}", (11.0, 11.9));
        spans.call(processed, ("notification", "order"), "GET /orders/{orderId}", (11.3, 12.2));
        spans.call(processed, ("notification", "billing"), "GET /billing/user/{userId}", (12.3, 13.1));
    }
    spans.0
}
