//! `/health`: the process lives. `/ready`: it can do its work.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::Serialize;
use tokio::task::JoinSet;
use utoipa::ToSchema;

type Probe = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// Something a service depends on, and how to ask whether it is there.
#[derive(Clone)]
pub struct Check {
    name: &'static str,
    required: bool,
    probe: Probe,
}

impl Check {
    /// A dependency without which the service can do nothing: while it is away, the service is not ready.
    pub fn required<F>(name: &'static str, probe: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        Self { name, required: true, probe: Arc::new(move || Box::pin(probe())) }
    }

    /// A dependency that some requests need. It is reported, but the service stays ready: taking every gateway out of
    /// service because billing is away would stop the reads of orders too.
    pub fn optional<F>(name: &'static str, probe: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        Self { required: false, ..Self::required(name, probe) }
    }
}

/// What `/health` and `/ready` answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Health {
    /// `up` or `down`.
    status: &'static str,
    /// Dependency by dependency: `up`, or what is wrong.
    checks: BTreeMap<&'static str, String>,
}

/// How long a dependency may take to answer a probe.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);

/// Answers `/health`: a process that can answer is alive, whatever it depends on.
pub(crate) async fn health() -> Response {
    axum::Json(Health { status: "up", checks: BTreeMap::new() }).into_response()
}

/// Answers `/ready`: 200, or 503 while something required is away.
pub(crate) async fn ready(checks: Arc<Vec<Check>>) -> Response {
    let report = Health::of(&checks).await;
    let status = if report.is_up() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(report)).into_response()
}

impl Health {
    /// What `checks` say. All are asked at once: together they take no longer than the slowest, and the answer is out before
    /// whoever asks gives up.
    pub async fn of(checks: &[Check]) -> Self {
        let mut asked = JoinSet::new();
        for check in checks.iter().cloned() {
            asked.spawn(async move {
                let answer = tokio::time::timeout(PROBE_TIMEOUT, (check.probe)()).await;
                let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {PROBE_TIMEOUT:?}")));
                (check.name, check.required, answer)
            });
        }
        let mut report = Self { status: "up", checks: BTreeMap::new() };
        for (name, required, answer) in asked.join_all().await {
            if answer.is_err() && required {
                report.status = "down";
            }
            report.checks.insert(name, answer.err().unwrap_or_else(|| "up".to_owned()));
        }
        report
    }

    /// Whether nothing that is required is away.
    pub fn is_up(&self) -> bool {
        self.status == "up"
    }
}
