//! `grpc.health.v1`: what `/ready` says, for who asks over gRPC.
//!
//! The server as a whole (`""`) and each of its services are `SERVING` while nothing that they require is away, and `NOT_SERVING`
//! from the moment at which the server begins to stop: so whoever asks learns of the drain, under whichever name. `liveness` is
//! `SERVING` as long as anybody answers.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_server};
use web::{Check, Health};

/// The name under which a process that answers is well, whatever it depends on.
const LIVENESS: &str = "liveness";
/// How soon a watcher learns of a change.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// The health of a server.
#[derive(Clone)]
pub(crate) struct HealthOf {
    services: Arc<[&'static str]>,
    checks: Arc<[Check]>,
    shutdown: CancellationToken,
}

impl HealthOf {
    /// Of `services`, which need what `checks` ask for, until `shutdown`.
    pub(crate) fn new(services: Vec<&'static str>, checks: Vec<Check>, shutdown: CancellationToken) -> Self {
        Self { services: services.into(), checks: checks.into(), shutdown }
    }

    async fn status(&self, service: &str) -> ServingStatus {
        if service == LIVENESS {
            return ServingStatus::Serving;
        }
        if !service.is_empty() && !self.services.contains(&service) {
            return ServingStatus::ServiceUnknown;
        }
        if !self.shutdown.is_cancelled() && Health::of(&self.checks).await.is_up() {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        }
    }

    /// Tells a watcher each change. Ends with the watcher, or with the server, which is the last thing that it tells.
    async fn tell(self, service: String, watcher: mpsc::Sender<Result<HealthCheckResponse, Status>>) {
        let mut told = None;
        loop {
            let stopping = self.shutdown.is_cancelled();
            let status = self.status(&service).await;
            if told.replace(status) != Some(status) && watcher.send(Ok(response(status))).await.is_err() {
                return;
            }
            if stopping {
                let goodbye = Status::unavailable("The server stops.");
                // It may have gone meanwhile.
                let _ = watcher.send(Err(goodbye)).await;
                return;
            }
            tokio::select! {
                () = sleep(WATCH_INTERVAL) => {}
                () = self.shutdown.cancelled() => {}
                () = watcher.closed() => return,
            }
        }
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl health_server::Health for HealthOf {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        match self.status(&request.into_inner().service).await {
            ServingStatus::ServiceUnknown => Err(Status::not_found("There is no such service.")),
            status => Ok(Response::new(response(status))),
        }
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    /// Of a service that is not known, it tells just that, and goes on: so says the protocol.
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (watcher, statuses) = mpsc::channel(1);
        tokio::spawn(self.clone().tell(request.into_inner().service, watcher));
        Ok(Response::new(Box::pin(ReceiverStream::new(statuses))))
    }
}
