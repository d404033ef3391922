//! What a sender tells about itself, in spans and log lines.

use std::sync::Arc;
use std::time::Duration;

use mail::{Settings, deliver_due, run};
use opentelemetry::Context;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::Level;

use crate::memory_queue::{MemoryQueue, State};
use crate::peer::{Act, Peer, Step};
use crate::recorder::Recorder;
use crate::{email, eventually, mailer};

fn settings() -> Settings {
    Settings {
        poll_interval: Duration::from_millis(2),
        backoff_base: Duration::from_millis(2),
        backoff_max: Duration::from_millis(20),
        ..Settings::default()
    }
}

#[tokio::test]
async fn each_attempt_is_a_span_that_says_where_to_and_what_came_of_it() {
    let (recorder, _guard) = Recorder::start();
    let peer = Peer::start([
        (Step::Content, Act::Normal),
        (Step::Rcpt, Act::Normal),
        (Step::Rcpt, Act::Reply("550 no such user")),
        (Step::Rcpt, Act::Reply("451 not now")),
        (Step::Content, Act::Close),
    ])
    .await;
    let mut mailer = mailer(&peer);
    for id in 1..=4 {
        mailer.send(&email(id)).await;
    }
    let spans = recorder.spans("send_email");
    let (host, port) = (peer.address().ip().to_string(), peer.address().port().to_string());
    for (span, (id, error)) in
        spans.iter().zip([(1, None), (2, Some("refused")), (3, Some("deferred")), (4, Some("unknown"))])
    {
        assert_eq!(span.get("email.message_id"), Some(&*format!("{id}.paid@mail.example")));
        assert_eq!(span.get("server.address"), Some(&*host));
        assert_eq!(span.get("server.port"), Some(&*port));
        assert_eq!(span.get("error.type"), error);
        assert_eq!(span.get("otel.status_code"), error.map(|_| "ERROR"));
    }
    assert_eq!(spans.len(), 4);
}

#[tokio::test]
async fn an_outage_of_the_queue_is_told_when_it_begins_and_when_it_ends() {
    let (recorder, _guard) = Recorder::start();
    let peer = Peer::start([]).await;
    let queue = MemoryQueue::with([email(1)]);
    queue.fail_next_claims(3);
    let shutdown = CancellationToken::new();
    let sender = tokio::spawn(run(
        queue.clone(),
        mailer(&peer),
        settings(),
        Arc::new(Notify::new()),
        shutdown.clone(),
    ));
    eventually("sent at last", || queue.all(State::Sent)).await;
    shutdown.cancel();
    sender.await.unwrap();
    let failed = recorder.lines(Level::ERROR, "mail queue failed; trying again");
    let causes: Vec<_> = failed.iter().map(|line| line.get("cause")).collect();
    assert_eq!(causes, [Some("the database is down")]);
    let back = recorder.lines(Level::INFO, "mail queue is back");
    assert_eq!(back.iter().map(|line| line.get("failures")).collect::<Vec<_>>(), [Some("3")]);
}

#[tokio::test]
async fn an_email_that_cannot_be_recorded_yet_is_told_once() {
    let (recorder, _guard) = Recorder::start();
    let peer = Peer::start([]).await;
    let queue = MemoryQueue::with([email(1)]);
    queue.fail_next_records(3);
    deliver_due(&queue, &mut mailer(&peer), &settings()).await.unwrap();
    assert!(queue.all(State::Sent));
    assert_eq!(recorder.lines(Level::WARN, "cannot record an email yet").len(), 1);
}

/// Says the same about every context.
#[derive(Debug)]
struct Fixed;

/// The example of W3C Trace Context.
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

impl TextMapPropagator for Fixed {
    fn inject_context(&self, _: &Context, injector: &mut dyn Injector) {
        injector.set("traceparent", TRACEPARENT.to_owned());
    }

    fn extract_with_context(&self, context: &Context, _: &dyn Extractor) -> Context {
        context.clone()
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&[])
    }
}

#[test]
fn the_trace_of_what_is_done_is_noted_as_the_propagator_writes_it() {
    // Of the whole process; the other tests here do not read it.
    opentelemetry::global::set_text_map_propagator(Fixed);
    assert_eq!(mail::traceparent().as_deref(), Some(TRACEPARENT));
}
