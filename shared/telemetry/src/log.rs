//! What the log says of the spans that a line stands in.
//!
//! Spans have two readers. A trace wants every attribute of OpenTelemetry's conventions, many of them recorded late; a line of the
//! log wants to know which request or message it belongs to. The JSON format would parse and write all fields of a span anew
//! with each one that is recorded, in every request, logged or not.

use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing_subscriber::field::{RecordFields, VisitOutput as _};
use tracing_subscriber::fmt::format::{JsonVisitor, Writer};
use tracing_subscriber::fmt::{FormatFields, FormattedFields};

/// Attributes of OpenTelemetry that the log has too, beside all fields without a dot in their name, which are this project's own.
const ATTRIBUTES: [&str; 4] =
    ["http.request.method", "messaging.message.conversation_id", "messaging.message.id", "url.path"];

fn is_logged(field: &Field) -> bool {
    !field.name().contains('.') || ATTRIBUTES.contains(&field.name())
}

/// The fields of spans that are logged, as JSON.
pub(crate) struct LoggedFields;

impl<'writer> FormatFields<'writer> for LoggedFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut logged = Logged(JsonVisitor::new(&mut writer));
        fields.record(&mut logged);
        logged.0.finish()
    }

    fn add_fields(&self, current: &'writer mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        let mut any = Logged(Any(false));
        fields.record(&mut any);
        if !any.0.0 {
            return Ok(());
        }
        let mut added = FormattedFields::<Self>::new(String::new());
        self.format_fields(added.as_writer(), fields)?;
        let object = |json: &str| serde_json::from_str::<Map<String, Value>>(json).map_err(|_| fmt::Error);
        let mut all = object(&current.fields)?;
        all.extend(object(&added.fields)?);
        current.fields = Value::from(all).to_string();
        Ok(())
    }
}

/// Whether a field was seen.
struct Any(bool);

impl Visit for Any {
    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {
        self.0 = true;
    }
}

/// Shows its visitor only what is logged.
struct Logged<V>(V);

macro_rules! pass_on {
    ($($record:ident: $value:ty),*) => {
        $(fn $record(&mut self, field: &Field, value: $value) {
            if is_logged(field) {
                self.0.$record(field, value);
            }
        })*
    };
}

impl<V: Visit> Visit for Logged<V> {
    pass_on!(record_bool: bool, record_debug: &dyn fmt::Debug, record_f64: f64, record_i64: i64, record_str: &str, record_u64: u64);
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing::field::Empty;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_tells_its_request_and_not_all_attributes_of_the_trace() {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = crate::json_lines().with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let span = tracing::info_span!(
                "request",
                request_id = "r-1",
                url.path = "/orders",
                http.response.size = Empty,
                trace_id = Empty,
            );
            span.record("http.response.size", 7_i64);
            span.record("trace_id", "t-1");
            span.in_scope(|| tracing::info!(order = 3, "stored"));
        });
        let line: Value = serde_json::from_slice(&lines.0.lock().unwrap()).unwrap();
        let expected = serde_json::json!({
            "name": "request", "request_id": "r-1", "trace_id": "t-1", "url.path": "/orders",
        });
        assert_eq!(line["span"], expected, "{line}");
        assert_eq!((&line["order"], &line["message"]), (&3.into(), &"stored".into()));
    }
}
