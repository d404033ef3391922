//! A running style: four service processes on a database of their own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::signal::Signal;
use sandbox::{Mailbox, free_port};
use serde::{Deserialize, Serialize};
use store::provision::{self, Databases};
use tokio::time::{Instant, sleep};
use url::Url;

use crate::process::ServiceProcess;
use crate::styles::Style;

/// How long a service may take to get ready.
const READY_MAX: Duration = Duration::from_secs(30);
/// How often readiness is asked for.
const READY_POLL: Duration = Duration::from_millis(20);

/// The four services, the same in every style.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Service {
    /// Owner of users and accounts.
    Billing,
    /// Owner of emails.
    Notification,
    /// Owner of orders.
    Order,
    /// What clients talk to.
    Gateway,
}

impl Service {
    /// All of them, callees first.
    pub const ALL: [Self; 4] = [Self::Billing, Self::Notification, Self::Order, Self::Gateway];

    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Billing => "billing",
            Self::Notification => "notification",
            Self::Order => "order",
            Self::Gateway => "gateway",
        }
    }
}

/// What a deployment runs on: addresses only, so that any sandbox will do.
#[derive(Clone, Debug)]
pub struct Ground {
    /// PostgreSQL, as somebody who may create databases and roles.
    pub postgres: Url,
    /// The SMTP server.
    pub smtp: Url,
    /// The SMTP server's mailbox, if it can be read.
    pub mailbox: Option<Mailbox>,
    /// Where logs may be written; goes when the sandbox goes.
    pub directory: PathBuf,
}

impl Ground {
    /// The ground that `sandbox` is.
    pub fn of(sandbox: &sandbox::Sandbox) -> Self {
        Self {
            postgres: sandbox.postgres.admin_url().clone(),
            smtp: sandbox.smtp.url().clone(),
            mailbox: sandbox.smtp.mailbox().cloned(),
            directory: sandbox.directory().to_owned(),
        }
    }
}

/// How to bring a style up.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where the gateway listens; a free port if not said.
    pub listen: Option<SocketAddr>,
    /// Further settings of the services, as environment variables.
    pub settings: Vec<(&'static str, String)>,
}

/// Settings of every service on the sandbox that differ from the defaults, and are labelled where figures are shown.
pub const SANDBOX_SETTINGS: [(&str, &str); 5] = [
    // Light hashing: the study is about communication, and 19 MiB per registration would be all it measures.
    ("ARGON2_MEMORY_KIB", "256"),
    ("ARGON2_PASSES", "1"),
    // A crash while an email is under way delays it by the lease; a minute is long for a demonstration.
    ("SMTP_COMMAND_TIMEOUT_MS", "500"),
    ("MAIL_LEASE_MS", "4000"),
    ("LOG_FILTER", "info"),
];

/// Where a deployment can be reached: enough for a consistency check from another process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Addresses {
    /// The style's name.
    pub style: String,
    /// Base URL of each service.
    pub services: BTreeMap<Service, Url>,
    /// The database as the auditor sees it: everything, read-only.
    pub auditor: Url,
    /// The SMTP sink's mailbox, if it can be read.
    pub mailbox: Option<PathBuf>,
}

/// A running style.
pub struct Deployment {
    /// Which.
    pub style: &'static Style,
    /// Where.
    pub addresses: Addresses,
    ground: Ground,
    databases: Databases,
    services: BTreeMap<Service, ServiceProcess>,
    environment: Vec<(&'static str, String)>,
    listen: BTreeMap<Service, SocketAddr>,
}

impl Deployment {
    /// Creates a database, starts all services and waits until they are ready.
    ///
    /// # Errors
    /// When a service does not get ready; its last log lines are in the error.
    pub async fn start(style: &'static Style, ground: Ground, options: Options) -> anyhow::Result<Self> {
        let unique = uuid::Uuid::new_v4().simple().to_string();
        let databases = provision::create(&ground.postgres, &format!("hw_{}", &unique[..12]), &unique[12..])
            .await
            .context("creating the database")?;

        let mut listen = BTreeMap::new();
        for service in Service::ALL {
            let chosen = options.listen.filter(|_| service == Service::Gateway);
            listen.insert(service, chosen.map_or_else(|| free_port().map(loopback), Ok)?);
        }
        let services: BTreeMap<Service, Url> = listen
            .iter()
            .map(|(&service, address)| Ok((service, base_url(*address)?)))
            .collect::<anyhow::Result<_>>()?;
        let mut environment: Vec<(&'static str, String)> =
            SANDBOX_SETTINGS.iter().map(|&(name, value)| (name, value.to_owned())).collect();
        environment.extend([
            ("BILLING_URL", services[&Service::Billing].to_string()),
            ("ORDER_URL", services[&Service::Order].to_string()),
            ("NOTIFICATION_URL", services[&Service::Notification].to_string()),
            ("SMTP_URL", ground.smtp.to_string()),
        ]);
        environment.extend(options.settings);

        let addresses = Addresses {
            style: style.name.to_owned(),
            services,
            auditor: databases.auditor.clone(),
            mailbox: ground.mailbox.as_ref().map(|mailbox| mailbox.path().to_owned()),
        };
        let services = BTreeMap::new();
        let mut deployment = Self { style, addresses, ground, databases, services, environment, listen };
        for service in Service::ALL {
            deployment.spawn(service, None)?;
        }
        for service in Service::ALL {
            deployment.wait_ready(service).await?;
        }
        Ok(deployment)
    }

    /// The base URL of `service`.
    pub fn url(&self, service: Service) -> &Url {
        &self.addresses.services[&service]
    }

    /// The gateway's base URL.
    pub fn gateway(&self) -> &Url {
        self.url(Service::Gateway)
    }

    /// The mailbox of the SMTP server, if it can be read.
    pub fn mailbox(&self) -> Option<&Mailbox> {
        self.ground.mailbox.as_ref()
    }

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

    /// Stops all services, callers first, and drops the database.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        for service in Service::ALL.into_iter().rev() {
            if let Some(process) = self.services.remove(&service) {
                process.stop().await?;
            }
        }
        provision::drop_all(&self.ground.postgres, &self.databases).await.context("dropping the database")
    }

    /// Where a service logs.
    pub fn log(&self, service: Service) -> PathBuf {
        let name = format!("{}-{}-{}.log", self.databases.name, self.style.name, service.name());
        Path::new(&self.ground.directory).join(name)
    }

    fn spawn(&mut self, service: Service, crash_points: Option<String>) -> anyhow::Result<()> {
        let mut environment = self.environment.clone();
        environment.push(("LISTEN", self.listen[&service].to_string()));
        let database = match service {
            Service::Billing => Some(&self.databases.billing),
            Service::Order => Some(&self.databases.order),
            Service::Notification => Some(&self.databases.notification),
            Service::Gateway => None,
        };
        environment.extend(database.map(|url| ("DATABASE_URL", url.to_string())));
        environment.extend(crash_points.map(|points| ("FAILPOINTS", points)));
        let process =
            ServiceProcess::start(self.style.name, service.name(), &environment, &self.log(service))?;
        self.services.insert(service, process);
        Ok(())
    }

    async fn wait_ready(&mut self, service: Service) -> anyhow::Result<()> {
        let ready = self.url(service).join("ready")?;
        let deadline = Instant::now() + READY_MAX;
        let http = reqwest::Client::builder().no_proxy().build()?;
        loop {
            let answer = http.get(ready.clone()).timeout(Duration::from_secs(2)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            let Some(process) = self.services.get_mut(&service) else {
                bail!("{} does not run", service.name())
            };
            if let Some(status) = process.ended() {
                bail!(
                    "{} ended with {status} before it was ready:\n{}",
                    service.name(),
                    process.last_words()
                );
            }
            if Instant::now() > deadline {
                bail!("{} was not ready within {READY_MAX:?}:\n{}", service.name(), process.last_words());
            }
            sleep(READY_POLL).await;
        }
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// How to reach whoever listens on `address`.
fn base_url(address: SocketAddr) -> anyhow::Result<Url> {
    let host = if address.ip().is_unspecified() { loopback(address.port()) } else { address };
    Ok(format!("http://{host}/").parse()?)
}
