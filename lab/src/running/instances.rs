//! Several instances of one service: each can be struck alone, and comes back where it was.

use std::net::SocketAddr;

use anyhow::Context as _;
use nix::sys::signal::Signal;
use url::Url;

use super::deployment::Deployment;
use super::process::ServiceProcess;
use super::ready::wait_process_ready;
use crate::styles::Service;

/// Instances of one service of a deployment.
pub struct Instances {
    service: Service,
    each: Vec<Instance>,
}

struct Instance {
    url: Url,
    /// There is none while it is away.
    process: Option<ServiceProcess>,
}

impl Instances {
    /// Takes over the instance of `service` that runs, and starts one beside it.
    ///
    /// # Errors
    /// When it does not get ready.
    pub async fn two_of(service: Service, deployment: &mut Deployment) -> anyhow::Result<Self> {
        let first = Instance {
            url: deployment.url(service).clone(),
            process: Some(deployment.take(service).context("the first instance")?),
        };
        let (process, url) = deployment.launch_replica(service)?;
        let mut instances = Self { service, each: vec![first, Instance { url, process: Some(process) }] };
        instances.wait_ready(1).await?;
        Ok(instances)
    }

    /// Where each of them is, also while it is away.
    pub fn urls(&self) -> impl Iterator<Item = &Url> {
        self.each.iter().map(|instance| &instance.url)
    }

    /// The same as addresses.
    ///
    /// # Errors
    /// When a URL names none.
    pub fn addresses(&self) -> anyhow::Result<Vec<SocketAddr>> {
        self.urls().map(address).collect()
    }

    /// `kill -9`, and waits until it is gone.
    pub async fn kill(&mut self, which: usize) -> anyhow::Result<()> {
        self.take(which)?.kill().await
    }

    /// Asks it to stop, and waits until it is gone.
    pub async fn stop_one(&mut self, which: usize) -> anyhow::Result<()> {
        self.take(which)?.stop().await
    }

    /// Sends it a signal, such as SIGSTOP.
    pub fn signal(&self, which: usize, signal: Signal) -> anyhow::Result<()> {
        self.each[which].process.as_ref().context("it does not run")?.signal(signal)
    }

    /// Starts one that is away at the address that it had, and waits until it is ready.
    pub async fn start_again(&mut self, which: usize, deployment: &Deployment) -> anyhow::Result<()> {
        let address = address(&self.each[which].url)?;
        let process = deployment.launch_instance(self.service, address, None)?;
        self.each[which].process = Some(process);
        self.wait_ready(which).await
    }

    /// Stops all that run.
    pub async fn stop(self) -> anyhow::Result<()> {
        for process in self.each.into_iter().filter_map(|instance| instance.process) {
            process.stop().await?;
        }
        Ok(())
    }

    fn take(&mut self, which: usize) -> anyhow::Result<ServiceProcess> {
        self.each[which].process.take().context("it does not run")
    }

    async fn wait_ready(&mut self, which: usize) -> anyhow::Result<()> {
        let Instance { url, process } = &mut self.each[which];
        let process = process.as_mut().context("it does not run")?;
        wait_process_ready(process, url, self.service).await
    }
}

fn address(url: &Url) -> anyhow::Result<SocketAddr> {
    url.socket_addrs(|| None)?.first().copied().context("no address")
}
