//! The processes of a deployment: killed, stopped, armed and started again, as faults want it.

use std::net::SocketAddr;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::signal::Signal;
use sandbox::free_port;
use tokio::time::{Instant, sleep};
use url::Url;

use super::{Deployment, Service, base_url, loopback};
use crate::process::ServiceProcess;

/// How long a service may take to get ready.
const READY_MAX: Duration = Duration::from_secs(30);
/// How often readiness is asked for.
const READY_POLL: Duration = Duration::from_millis(20);
/// How long one answer to that may take.
const ANSWER_MAX: Duration = Duration::from_secs(2);

impl Deployment {
    /// `kill -9`, and waits until the process is gone.
    pub async fn kill(&mut self, service: Service) -> anyhow::Result<()> {
        let mut process = self.services.remove(&service).context("it does not run")?;
        process.kill().await
    }

    /// Asks a service to stop and waits until it is gone.
    pub async fn stop_service(&mut self, service: Service) -> anyhow::Result<()> {
        let process = self.services.remove(&service).context("it does not run")?;
        process.stop().await
    }

    /// Sends a signal to a service, such as SIGSTOP.
    pub fn signal(&self, service: Service, signal: Signal) -> anyhow::Result<()> {
        self.services.get(&service).context("it does not run")?.signal(signal)
    }

    /// Starts a service that does not run, at the address it had.
    pub async fn start_service(&mut self, service: Service) -> anyhow::Result<()> {
        self.spawn(service, None)?;
        self.wait_ready(service).await
    }

    /// Starts a further instance of a service beside the one that runs, and says where it listens. It is stopped with the
    /// deployment.
    pub async fn start_replica(&mut self, service: Service) -> anyhow::Result<Url> {
        let (mut process, url) = self.launch_replica(service)?;
        wait_process_ready(&mut process, &url, service).await?;
        self.replicas.push(process);
        Ok(url)
    }

    /// Starts a further instance that the caller looks after, and does not wait until it is ready.
    pub(crate) fn launch_replica(&self, service: Service) -> anyhow::Result<(ServiceProcess, Url)> {
        let address = loopback(free_port()?);
        Ok((self.start_process(service.name(), service, address, None)?, base_url(address)?))
    }

    /// Runs something of a service that is done once, such as `rebuild-replica order`, and waits for its end.
    ///
    /// # Errors
    /// When it fails; its last log lines are in the error.
    pub async fn run_once(&self, service: Service, arguments: &str, longest: Duration) -> anyhow::Result<()> {
        self.launch_once(service, arguments)?.succeed(arguments, longest).await
    }

    /// Starts something of a service that is done once.
    pub(crate) fn launch_once(&self, service: Service, arguments: &str) -> anyhow::Result<ServiceProcess> {
        self.start_process(arguments, service, loopback(free_port()?), None)
    }

    /// Replaces a service by one that dies as if by `kill -9` when it gets to `crash_point` (see the `fail` crate for more:
    /// `1*off->panic` spares the first time).
    pub async fn arm(&mut self, service: Service, crash_point: &str, action: &str) -> anyhow::Result<()> {
        self.stop_service(service).await?;
        self.spawn(service, Some(format!("{crash_point}={action}")))?;
        self.wait_ready(service).await
    }

    /// Waits until a service ends by itself, as one does that was [armed](Self::arm).
    pub async fn wait_end(&mut self, service: Service, longest: Duration) -> anyhow::Result<ExitStatus> {
        let mut process = self.services.remove(&service).context("it does not run")?;
        let outcome = process.wait(longest).await;
        if outcome.is_err() {
            self.services.insert(service, process);
        }
        outcome
    }

    /// Hands over the process of a service: from here on it counts as one that does not run.
    pub(crate) fn take(&mut self, service: Service) -> anyhow::Result<ServiceProcess> {
        self.services.remove(&service).context("it does not run")
    }

    /// The services that run, and their processes.
    pub(crate) fn process_ids(&self) -> impl Iterator<Item = (Service, u32)> {
        self.services.iter().filter_map(|(&service, process)| Some((service, process.id()?)))
    }

    /// Whether a service was started and has ended by itself, and how.
    pub(crate) fn ended(&mut self, service: Service) -> Option<ExitStatus> {
        self.services.get_mut(&service)?.ended()
    }

    /// Starts again what has ended by itself, as whoever supervises processes does, and waits until everything is ready.
    pub(crate) async fn supervise(&mut self) -> anyhow::Result<()> {
        for service in Service::ALL {
            if self.ended(service).is_some() {
                self.spawn(service, None)?;
            }
        }
        for service in Service::ALL {
            self.wait_ready(service).await?;
        }
        Ok(())
    }

    /// Starts a service at the address it had, and does not wait until it is ready. `crash_points` as `FAILPOINTS` wants them.
    pub(crate) fn spawn(&mut self, service: Service, crash_points: Option<String>) -> anyhow::Result<()> {
        let process = self.start_process(service.name(), service, self.listen[&service], crash_points)?;
        self.services.insert(service, process);
        Ok(())
    }

    /// Starts a process with the settings of `service`: the service itself, or something that is done once.
    fn start_process(
        &self,
        arguments: &str,
        service: Service,
        listen: SocketAddr,
        crash_points: Option<String>,
    ) -> anyhow::Result<ServiceProcess> {
        let mut environment = self.environment.clone();
        environment.push(("LISTEN", listen.to_string()));
        let database = match service {
            Service::Billing => Some(&self.databases.billing),
            Service::Order => Some(&self.databases.order),
            Service::Notification => Some(&self.databases.notification),
            Service::Gateway => None,
        };
        environment.extend(database.map(|url| ("DATABASE_URL", url.to_string())));
        environment.extend(crash_points.map(|points| ("FAILPOINTS", points)));
        ServiceProcess::start(self.style.name, arguments, &environment, &self.log(service))
    }

    /// Waits until a service that was [spawned](Self::spawn) is ready.
    pub(crate) async fn wait_ready(&mut self, service: Service) -> anyhow::Result<()> {
        let url = self.url(service).clone();
        let process = self.services.get_mut(&service);
        let process = process.with_context(|| format!("{} does not run", service.name()))?;
        wait_process_ready(process, &url, service).await
    }
}

/// Waits until the process of `service` at `url` says that it can do its work.
async fn wait_process_ready(process: &mut ServiceProcess, url: &Url, service: Service) -> anyhow::Result<()> {
    let ready = wait_ready(url, READY_MAX, || match process.ended() {
        Some(status) => bail!("it ended with {status}"),
        None => Ok(()),
    });
    if let Err(error) = ready.await {
        bail!("{} did not get ready: {error:#}\n{}", service.name(), process.last_words());
    }
    Ok(())
}

/// Waits until whoever listens at `url` says that it can do its work.
///
/// # Errors
/// When it does not within `longest`, or `may_come` says that it never will.
pub(crate) async fn wait_ready(
    url: &Url,
    longest: Duration,
    mut may_come: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (ready, deadline) = (url.join("ready")?, Instant::now() + longest);
    let http = reqwest::Client::builder().no_proxy().timeout(ANSWER_MAX).build()?;
    loop {
        match http.get(ready.clone()).send().await.and_then(reqwest::Response::error_for_status) {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > deadline => {
                return Err(error).with_context(|| format!("still so after {longest:?}"));
            }
            Err(_) => may_come()?,
        }
        sleep(READY_POLL).await;
    }
}
