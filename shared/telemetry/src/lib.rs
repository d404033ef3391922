//! Logs, traces and metrics: set up once per process, the same way in every service.

mod log;
mod traces;

use std::io::stderr;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use log::LoggedFields;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
pub use traces::TraceSettings;
use tracing::{Level, Subscriber};
use tracing_subscriber::filter::{EnvFilter, LevelFilter, dynamic_filter_fn};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line, for collectors.
    #[default]
    Json,
    /// For people.
    Pretty,
}

/// Settings of telemetry.
#[derive(Clone, Debug, Args)]
// Its group would have the name of the settings that it is part of, and clap allows each name once.
#[group(skip)]
pub struct Settings {
    /// How logs are written (to standard error).
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,

    /// What is logged: a `tracing` filter such as `info` or `warn,web=debug`.
    #[arg(long, env = "LOG_FILTER", default_value = "info")]
    pub log_filter: String,

    /// Where spans go.
    #[command(flatten)]
    pub traces: TraceSettings,
}

/// What [`init`] set up. A service holds it to its very end: when it is dropped, the spans that are still here are exported.
pub struct Telemetry {
    metrics: PrometheusHandle,
    tracers: SdkTracerProvider,
}

/// Seconds: from a local round trip to the longest wait a client may ask for.
const DURATION_BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 30.0];

/// How often samples of histograms are put into their buckets.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Installs the process-wide logger, tracer and metrics recorder for `service`.
///
/// # Errors
/// When a setting cannot be right (the error names its variable), or when it is called twice in a process.
pub fn init(service: &'static str, settings: &Settings) -> anyhow::Result<Telemetry> {
    let filter = EnvFilter::try_new(&settings.log_filter)
        .map_err(|error| anyhow::anyhow!("LOG_FILTER {:?}: {error}", settings.log_filter))?;
    // Spans carry the W3C trace context from request to request.
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let tracers = settings.traces.provider(service)?;
    let registry = tracing_subscriber::registry().with(traced(tracers.tracer(service)));
    match settings.log_format {
        LogFormat::Json => registry.with(json_lines().with_writer(stderr).with_filter(filter)).try_init()?,
        LogFormat::Pretty => {
            registry.with(fmt::layer().compact().with_writer(stderr).with_filter(filter)).try_init()?;
        }
    }
    Ok(Telemetry { metrics: record_metrics(service)?, tracers })
}

/// The layer that makes a trace of spans. Not behind the log's filter: a quiet log must not cut the trace.
fn traced<S: Subscriber + for<'span> LookupSpan<'span>>(tracer: SdkTracer) -> impl Layer<S> {
    // Asked about every span. What a filter says once and for all is not asked again, and then a layer goes by what the filters
    // said last, be it about something else (tracing issue 2519): spans would be missing here and there.
    let asked_each_time = dynamic_filter_fn(|metadata, _| *metadata.level() <= Level::INFO);
    tracing_opentelemetry::layer()
        .with_tracer(tracer)
        // What a span says of the code and its thread is of no use to who reads a trace across services.
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        // Contexts are handed on by name, never taken from the thread; entering a span costs less then.
        .with_context_activation(false)
        .with_filter(asked_each_time.with_max_level_hint(LevelFilter::INFO))
}

/// Lines of JSON: the event's fields, and what of its spans is logged.
fn json_lines<S>() -> fmt::Layer<S, LoggedFields, fmt::format::Format<fmt::format::Json>> {
    fmt::layer().json().flatten_event(true).fmt_fields(LoggedFields)
}

/// Installs the process-wide metrics recorder.
fn record_metrics(service: &'static str) -> anyhow::Result<PrometheusHandle> {
    let metrics = PrometheusBuilder::new()
        .add_global_label("service", service)
        .set_buckets_for_metric(Matcher::Suffix("duration_seconds".to_owned()), &DURATION_BUCKETS)?
        .install_recorder()?;
    // Samples pile up until somebody looks; in a service that nobody scrapes, this is who does.
    let upkeep = metrics.clone();
    std::thread::Builder::new().name("metrics".to_owned()).spawn(move || {
        loop {
            std::thread::sleep(UPKEEP_INTERVAL);
            upkeep.run_upkeep();
        }
    })?;
    Ok(metrics)
}

impl Telemetry {
    /// Renders all metrics in Prometheus' text format. Apart from `self`, which has to outlive the server that answers with it.
    pub fn metrics(&self) -> Arc<dyn Fn() -> String + Send + Sync> {
        let metrics = self.metrics.clone();
        Arc::new(move || {
            resident_memory();
            metrics.render()
        })
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        traces::flush(&self.tracers);
    }
}

/// Publishes the process's resident memory, present and peak, where the system tells it (Linux).
fn resident_memory() {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else {
        return;
    };
    for (field, name) in
        [("VmRSS:", "process_resident_memory_bytes"), ("VmHWM:", "process_resident_memory_peak_bytes")]
    {
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        if let Some(kib) = kib {
            metrics::gauge!(name).set(kib * 1024.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TraceContextExt as _;
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;

    use super::*;

    #[test]
    fn a_question_about_one_level_does_not_take_the_next_span_out_of_its_trace() {
        let tracers = SdkTracerProvider::default();
        let quiet = fmt::layer().with_writer(std::io::sink).with_filter(EnvFilter::new("debug"));
        let registry = tracing_subscriber::registry().with(traced(tracers.tracer("test"))).with(quiet);
        tracing::subscriber::with_default(registry, || {
            // As sqlx asks after each statement, without saying anything afterwards.
            assert!(tracing::enabled!(Level::DEBUG));
            let span = tracing::info_span!("request");
            assert!(span.context().span().span_context().is_valid());
        });
    }
}
