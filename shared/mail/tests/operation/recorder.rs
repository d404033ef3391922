//! Spans and log lines of one test, as a subscriber of `tracing` gets them.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, Once};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Metadata, Subscriber};

/// Names of fields, and their values as they are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(BTreeMap<String, String>);

impl Fields {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

/// What was recorded in one thread: the tests' runtimes are single-threaded.
#[derive(Clone, Default)]
pub struct Recorder(Arc<Mutex<Recorded>>);

#[derive(Default)]
struct Recorded {
    spans: Vec<(String, Fields)>,
    events: Vec<(Level, Fields)>,
}

impl Recorder {
    /// Records what this thread says, as long as the guard lives.
    pub fn start() -> (Self, DefaultGuard) {
        static SOMEBODY_WANTS_ALL: Once = Once::new();
        // Where a span is first met in a thread that nobody listens to, it would be switched off for all that are just beginning.
        SOMEBODY_WANTS_ALL.call_once(|| tracing::subscriber::set_global_default(Self::default()).unwrap());
        let recorder = Self::default();
        let guard = tracing::subscriber::set_default(recorder.clone());
        (recorder, guard)
    }

    /// Of each span of this name, its fields.
    pub fn spans(&self, name: &str) -> Vec<Fields> {
        let recorded = self.0.lock().unwrap();
        recorded.spans.iter().filter(|(it, _)| it == name).map(|(_, fields)| fields.clone()).collect()
    }

    /// Of each log line with this text, its fields.
    pub fn lines(&self, level: Level, text: &str) -> Vec<Fields> {
        let recorded = self.0.lock().unwrap();
        let matches = |(at, fields): &&(Level, Fields)| *at == level && fields.get("message") == Some(text);
        recorded.events.iter().filter(matches).map(|(_, fields)| fields.clone()).collect()
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("mail")
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let spans = &mut self.0.lock().unwrap().spans;
        spans.push((attributes.metadata().name().to_owned(), fields));
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let at = usize::try_from(span.into_u64()).unwrap() - 1;
        values.record(&mut self.0.lock().unwrap().spans[at].1);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        self.0.lock().unwrap().events.push((*event.metadata().level(), fields));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
