//! What an order costs in communication, counted from its trace.

use std::collections::BTreeMap;

use super::trace::{Span, SpanKind, Trace};
use crate::styles::Counts;

/// How often and how much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// How often.
    pub counts: Counts,
    /// Bytes of it all: of a request and its answer everything that HTTP/1.1 writes; of an RPC its two messages; of a message its
    /// key, headers and body, once, on its way to the broker.
    pub bytes: u64,
    /// Bytes of RPCs among them. What HTTP/2 writes besides cannot be told call by call: it is counted by connection.
    pub rpc_bytes: u64,
}

impl Trace {
    /// What the part of the trace that has arrived costs.
    pub fn cost(&self) -> Cost {
        self.spans.iter().fold(Cost::default(), |mut cost, span| {
            cost.add(span);
            cost
        })
    }
}

impl Trace {
    /// The same by service: of a request and its answer, and of a message, whoever sent it bears the cost.
    pub fn cost_by_service(&self) -> BTreeMap<String, Cost> {
        let mut costs: BTreeMap<String, Cost> = BTreeMap::new();
        for span in &self.spans {
            costs.entry(span.service.clone()).or_default().add(span);
        }
        costs
    }
}

impl Cost {
    fn add(&mut self, span: &Span) {
        let bytes = |name: &str| span.integer(name).and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0);
        if let (SpanKind::Client, Some(method)) = (span.kind, span.text("http.request.method")) {
            self.counts.http_requests += 1;
            self.counts.gets += usize::from(method == "GET");
            self.bytes += bytes("http.request.size") + bytes("http.response.size");
        }
        if span.kind == SpanKind::Client && span.text("rpc.system.name").is_some() {
            self.counts.rpcs += 1;
            let both = bytes("rpc.request.size") + bytes("rpc.response.size");
            self.rpc_bytes += both;
            self.bytes += both;
        }
        if span.kind == SpanKind::Producer && span.text("messaging.system").is_some() {
            self.counts.messages += 1;
            self.bytes += bytes("messaging.message.envelope.size");
        }
    }
}
