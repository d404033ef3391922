//! The processes of a deployment: killed, stopped, armed and started again, as faults want it.

use std::net::SocketAddr;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::LocalBoxFuture;
use nix::sys::signal::Signal;
use sandbox::free_port;
use url::Url;

use super::{Deployment, base_url, loopback};
use crate::running::process::ServiceProcess;
use crate::running::ready::wait_process_ready;
use crate::styles::Service;

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
    pub fn launch_replica(&self, service: Service) -> anyhow::Result<(ServiceProcess, Url)> {
        let address = loopback(free_port()?);
        Ok((self.launch_instance(service, address, None)?, base_url(address)?))
    }

    /// As [`Self::launch_replica`], at an address of the caller's choice, with `crash_points` as `FAILPOINTS` wants them.
    pub fn launch_instance(
        &self,
        service: Service,
        listen: SocketAddr,
        crash_points: Option<String>,
    ) -> anyhow::Result<ServiceProcess> {
        self.start_process(service.name(), service, listen, crash_points)
    }

    /// Where a service listens that [runs here](Self::start_service).
    pub fn listens_at(&self, service: Service) -> SocketAddr {
        self.listen[&service]
    }

    /// From now on, services that are started look for `service` at these `addresses`: at something in front of it, or at several
    /// instances. A style that knows one address for each service is led to one.
    pub fn lead_to(&mut self, service: Service, addresses: &[SocketAddr]) {
        let target = addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(",");
        let setting = service.url_setting();
        self.environment.retain(|(name, _)| *name != setting);
        self.environment.push((setting, format!("http://{target}")));
    }

    /// Runs something of a service that is done once, such as `rebuild-replica order`, and waits for its end.
    ///
    /// # Errors
    /// When it fails; its last log lines are in the error.
    pub fn run_once<'a>(
        &'a self,
        service: Service,
        arguments: &'a str,
        longest: Duration,
    ) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        Box::pin(async move { self.launch_once(service, arguments)?.succeed(arguments, longest).await })
    }

    /// Starts something of a service that is done once.
    pub fn launch_once(&self, service: Service, arguments: &str) -> anyhow::Result<ServiceProcess> {
        self.start_process(arguments, service, loopback(free_port()?), None)
    }

    /// Starts everybody but `service` anew, so that they know where they are [led to](Self::lead_to).
    pub async fn start_others_anew(&mut self, service: Service) -> anyhow::Result<()> {
        for &other in self.style.services.iter().filter(|other| **other != service) {
            self.stop_service(other).await?;
            self.start_service(other).await?;
        }
        Ok(())
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
    pub fn take(&mut self, service: Service) -> anyhow::Result<ServiceProcess> {
        self.services.remove(&service).context("it does not run")
    }

    /// The services that run, and their processes.
    pub fn process_ids(&self) -> impl Iterator<Item = (Service, u32)> {
        self.services.iter().filter_map(|(&service, process)| Some((service, process.id()?)))
    }

    /// Whether a service was started and has ended by itself, and how.
    pub fn ended(&mut self, service: Service) -> Option<ExitStatus> {
        self.services.get_mut(&service)?.ended()
    }

    /// Starts again what has ended by itself, as whoever supervises processes does, and waits until everything is ready.
    pub async fn supervise(&mut self) -> anyhow::Result<()> {
        for &service in self.style.services {
            if self.ended(service).is_some() {
                self.spawn(service, None)?;
            }
        }
        for &service in self.style.services {
            self.wait_ready(service).await?;
        }
        Ok(())
    }

    /// Starts a service at the address it had, and does not wait until it is ready. `crash_points` as `FAILPOINTS` wants them.
    pub fn spawn(&mut self, service: Service, crash_points: Option<String>) -> anyhow::Result<()> {
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
        let database = self.databases.services.get(service.name());
        environment.extend(database.map(|url| ("DATABASE_URL", url.to_string())));
        environment.extend(crash_points.map(|points| ("FAILPOINTS", points)));
        ServiceProcess::start(self.style.name, arguments, &environment, &self.log(service))
    }

    /// Waits until a service that was [spawned](Self::spawn) is ready.
    pub fn wait_ready(&mut self, service: Service) -> LocalBoxFuture<'_, anyhow::Result<()>> {
        Box::pin(async move {
            let url = self.url(service).clone();
            let process = self.services.get_mut(&service);
            let process = process.with_context(|| format!("{} does not run", service.name()))?;
            wait_process_ready(process, &url, service).await
        })
    }
}
