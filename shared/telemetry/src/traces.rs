//! Spans on their way out of the process: OTLP over HTTP, in batches, from a thread of its own. No request waits for it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use opentelemetry_otlp::{RetryPolicy, SpanExporter as Otlp, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanExporter,
};
use url::Url;

/// Where spans go. The names are those of OpenTelemetry's specification; what else it names for OTLP and batches
/// (`OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_BSP_MAX_QUEUE_SIZE`, `OTEL_RESOURCE_ATTRIBUTES`, ...) is read from the environment too.
#[derive(Clone, Debug, Args)]
pub struct TraceSettings {
    /// The base URL of a collector that takes OTLP over HTTP, such as `http://localhost:4318`. Without it, no spans are exported.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otel_exporter_otlp_endpoint: Option<String>,

    /// Which share of the traces that begin in this service is recorded, from 0 to 1. A trace that began elsewhere is recorded if it
    /// was recorded there (the sampler is always `parentbased_traceidratio`).
    #[arg(long, env = "OTEL_TRACES_SAMPLER_ARG", default_value_t = 1.0)]
    pub otel_traces_sampler_arg: f64,

    /// How long spans are collected before they are exported, in milliseconds.
    #[arg(long, env = "OTEL_BSP_SCHEDULE_DELAY", default_value_t = 5000)]
    pub otel_bsp_schedule_delay: u64,
}

/// How long one export may take.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a service that stops may wait for its last export.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);

impl TraceSettings {
    /// Makes the tracers of `service`.
    ///
    /// # Errors
    /// One line that names the variable that is wrong.
    pub(crate) fn provider(&self, service: &'static str) -> anyhow::Result<SdkTracerProvider> {
        let ratio = self.otel_traces_sampler_arg;
        if !(0.0..=1.0).contains(&ratio) {
            bail!("OTEL_TRACES_SAMPLER_ARG {ratio}: it is a part of the traces, from 0 to 1");
        }
        let url = self.spans_url()?;
        // What nobody is told need not be recorded. The trace has its id all the same, for the logs.
        let ratio = if url.is_some() { ratio } else { 0.0 };
        let tracers = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio))))
            .with_resource(Resource::builder().with_service_name(service).build());
        Ok(match url {
            Some(url) => tracers.with_span_processor(self.batches(&url)?).build(),
            None => tracers.build(),
        })
    }

    /// Where spans are posted to; an empty variable counts as unset, as the specification has it.
    fn spans_url(&self) -> anyhow::Result<Option<Url>> {
        let Some(text) = self.otel_exporter_otlp_endpoint.as_deref().filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let wrong = |why: String| anyhow::anyhow!("OTEL_EXPORTER_OTLP_ENDPOINT {text:?}: {why}");
        let mut url: Url = text.parse().map_err(|error| wrong(format!("{error}")))?;
        if url.scheme() != "http" || !url.has_host() {
            return Err(wrong(
                "it must be the address of a collector, as in http://localhost:4318".to_owned(),
            ));
        }
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/v1/traces"));
        Ok(Some(url))
    }

    fn batches(&self, url: &Url) -> anyhow::Result<BatchSpanProcessor> {
        let exporter = Otlp::builder()
            .with_http()
            .with_http_client(http_client().context("the exporter's HTTP client")?)
            .with_endpoint(url.as_str())
            .with_timeout(EXPORT_TIMEOUT)
            // A batch that fails is lost. Repeating it would let the next ones pile up, and hold up a service that stops.
            .with_retry_policy(RetryPolicy::disabled())
            .build()
            .context("OTEL_EXPORTER_OTLP_*")?;
        let config = BatchConfigBuilder::default()
            .with_scheduled_delay(Duration::from_millis(self.otel_bsp_schedule_delay.max(1)))
            .build();
        Ok(BatchSpanProcessor::builder(Reporting::new(exporter)).with_batch_config(config).build())
    }
}

/// A client that blocks: the batch processor's thread runs no tokio. Not the services' own client either, so that an export
/// is no call between services and leaves no span.
fn http_client() -> anyhow::Result<reqwest::blocking::Client> {
    let build = || {
        reqwest::blocking::Client::builder()
            .timeout(EXPORT_TIMEOUT)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
    };
    // It brings a runtime of its own, which must not be made within another.
    std::thread::spawn(build).join().map_err(|_| anyhow::anyhow!("it panicked"))?.map_err(Into::into)
}

/// Exports what is still here. Blocks for [`FLUSH_TIMEOUT`] at most.
pub(crate) fn flush(tracers: &SdkTracerProvider) {
    if let Err(error) = tracers.shutdown_with_timeout(FLUSH_TIMEOUT) {
        tracing::warn!(%error, "the last spans may be lost");
    }
}

/// An exporter that logs the beginning and the end of an outage, and nothing in between.
#[derive(Debug)]
struct Reporting<E> {
    exporter: E,
    /// Spans lost since exports began to fail.
    lost: AtomicUsize,
}

impl<E> Reporting<E> {
    fn new(exporter: E) -> Self {
        Self { exporter, lost: AtomicUsize::new(0) }
    }
}

impl<E: SpanExporter> SpanExporter for Reporting<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let outcome = self.exporter.export(batch).await;
        match &outcome {
            Ok(()) => {
                let lost = self.lost.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    tracing::info!(lost, "spans are exported again");
                }
            }
            Err(error) => {
                if self.lost.fetch_add(spans, Ordering::Relaxed) == 0 {
                    tracing::warn!(%error, "spans cannot be exported; trying on");
                }
            }
        }
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::time::Instant;

    use opentelemetry::trace::{Tracer as _, TracerProvider as _};

    use super::*;

    fn settings(endpoint: &str) -> TraceSettings {
        TraceSettings {
            otel_exporter_otlp_endpoint: Some(endpoint.to_owned()),
            otel_traces_sampler_arg: 1.0,
            // Longer than any test: what is exported is exported by the flush.
            otel_bsp_schedule_delay: 600_000,
        }
    }

    #[test]
    fn an_address_that_is_none_is_an_error_that_names_the_variable() {
        for wrong in ["collector:4318", "localhost", "https://collector:4318", "grpc://collector:4317", "/v1"]
        {
            let error = settings(wrong).provider("test").unwrap_err().to_string();
            assert!(error.contains("OTEL_EXPORTER_OTLP_ENDPOINT") && error.contains(wrong), "{error}");
        }
        let error =
            TraceSettings { otel_traces_sampler_arg: 1.5, ..settings("") }.provider("test").unwrap_err();
        assert!(error.to_string().contains("OTEL_TRACES_SAMPLER_ARG"), "{error}");
    }

    #[test]
    fn spans_go_below_the_base_url_and_nowhere_without_one() {
        for (base, url) in [
            ("http://collector:4318", Some("http://collector:4318/v1/traces")),
            ("http://collector/otlp/", Some("http://collector/otlp/v1/traces")),
            ("", None),
        ] {
            assert_eq!(settings(base).spans_url().unwrap().as_ref().map(Url::as_str), url);
        }
    }

    #[test]
    fn the_last_spans_are_exported_before_the_flush_ends() {
        let collector = TcpListener::bind("127.0.0.1:0").unwrap();
        let tracers =
            settings(&format!("http://{}", collector.local_addr().unwrap())).provider("billing").unwrap();
        let received = std::thread::spawn(move || {
            let (mut stream, _) = collector.accept().unwrap();
            let mut request = Vec::new();
            while !request.windows(6).any(|word| word == b"a span") {
                let mut part = [0; 4096];
                let read = stream.read(&mut part).unwrap();
                assert!(read > 0, "the request ends without the span");
                request.extend_from_slice(&part[..read]);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
            String::from_utf8_lossy(&request).into_owned()
        });
        drop(tracers.tracer("test").start("a span"));
        flush(&tracers);
        let request = received.join().unwrap();
        assert!(request.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("service.name") && request.contains("billing"), "{request}");
    }

    #[test]
    fn an_absent_collector_holds_nobody_up() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let tracers = settings(&format!("http://{address}")).provider("test").unwrap();
        let started = Instant::now();
        // More than the queue holds.
        for _ in 0..10_000 {
            drop(tracers.tracer("test").start("a span"));
        }
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        flush(&tracers);
        assert!(started.elapsed() < FLUSH_TIMEOUT, "{:?}", started.elapsed());
    }
}
