//! A running style: its services as processes, on a database of their own.

mod addresses;
mod processes;
mod settings;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub use addresses::{Addresses, Brokers};
use anyhow::Context as _;
use futures_util::future::LocalBoxFuture;
use sandbox::{Mailbox, free_port};
pub use settings::{FAULT_SETTINGS, Ground, Options, SANDBOX_SETTINGS};
use store::provision::{self, Databases};
use url::Url;

use super::process::{ServiceProcess, last_lines};
use crate::styles::{Service, Style};

/// A running style.
pub struct Deployment {
    /// Which.
    pub style: &'static Style,
    /// Where.
    pub addresses: Addresses,
    ground: Ground,
    databases: Databases,
    services: BTreeMap<Service, ServiceProcess>,
    replicas: Vec<ServiceProcess>,
    environment: Vec<(&'static str, String)>,
    listen: BTreeMap<Service, SocketAddr>,
}

impl Deployment {
    /// Creates a database, starts all services and waits until they are ready.
    ///
    /// # Errors
    /// When a service does not get ready; its last log lines are in the error.
    pub fn start(
        style: &'static Style,
        ground: Ground,
        options: Options,
    ) -> LocalBoxFuture<'static, anyhow::Result<Self>> {
        Box::pin(async move {
            let unique = uuid::Uuid::new_v4().simple().to_string();
            let (name, password) = (format!("hw_{}", &unique[..12]), &unique[12..]);
            let owners: Vec<&'static str> = style.owners().map(Service::name).collect();
            let databases = provision::create(&ground.postgres, &name, password, &owners);
            let databases = databases.await.context("creating the database")?;

            let mut listen = BTreeMap::new();
            for &service in style.services {
                let chosen = options.listen.filter(|_| service == Service::Gateway);
                listen.insert(service, chosen.map_or_else(|| free_port().map(loopback), Ok)?);
            }
            let services: BTreeMap<Service, Url> = listen
                .iter()
                .map(|(&service, address)| Ok((service, base_url(*address)?)))
                .collect::<anyhow::Result<_>>()?;
            let mut environment: Vec<(&'static str, String)> =
                SANDBOX_SETTINGS.iter().map(|&(name, value)| (name, value.to_owned())).collect();
            environment
                .extend(services.iter().map(|(service, url)| (service.url_setting(), url.to_string())));
            environment.push(("SMTP_URL", ground.smtp.to_string()));
            // What is measured should be there soon; a batch every 5 s is for production.
            environment.extend(options.traces.into_iter().flat_map(|endpoint| {
                [
                    ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.to_string()),
                    ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()),
                ]
            }));
            let kafka = addresses::create_topics(style, &ground.kafka, &databases.name, options.partitions)
                .await
                .context("creating the topics")?;
            if let Some(brokers) = &kafka {
                environment.push(("KAFKA_PREFIX", brokers.prefix.clone()));
                environment.extend(ground.kafka.settings());
            }
            environment.extend(options.settings);

            let addresses = Addresses {
                style: style.name.to_owned(),
                services,
                auditor: databases.auditor.clone(),
                mailbox: ground.mailbox.as_ref().map(|mailbox| mailbox.path().to_owned()),
                kafka,
            };
            let (services, replicas) = (BTreeMap::new(), Vec::new());
            let mut deployment =
                Self { style, addresses, ground, databases, services, replicas, environment, listen };
            for &service in style.services {
                deployment.spawn(service, None)?;
            }
            for &service in style.services {
                deployment.wait_ready(service).await?;
            }
            Ok(deployment)
        })
    }

    /// The base URL of `service`.
    pub fn url(&self, service: Service) -> &Url {
        &self.addresses.services[&service]
    }

    /// The gateway's base URL.
    pub fn gateway(&self) -> &Url {
        self.url(Service::Gateway)
    }

    /// The name of its database; those of the roles in it start with it.
    pub fn database_name(&self) -> &str {
        &self.databases.name
    }

    /// Its database, as somebody who may do anything with it.
    pub fn database_as_admin(&self) -> Url {
        let mut url = self.ground.postgres.clone();
        url.set_path(&self.databases.name);
        url
    }

    /// The mailbox of the SMTP server, if it can be read.
    pub fn mailbox(&self) -> Option<&Mailbox> {
        self.ground.mailbox.as_ref()
    }

    /// Stops all services, callers first, and drops the database.
    pub fn stop(mut self) -> LocalBoxFuture<'static, anyhow::Result<()>> {
        Box::pin(async move {
            for replica in self.replicas.drain(..) {
                replica.stop().await?;
            }
            for service in self.style.services.iter().rev() {
                if let Some(process) = self.services.remove(service) {
                    process.stop().await?;
                }
            }
            if let Some(brokers) = self.addresses.kafka.as_ref().filter(|_| !self.ground.kafka.is_in_memory())
            {
                messaging::delete_topics(&brokers.settings(), &(self.style.topology)()).await?;
            }
            provision::drop_all(&self.ground.postgres, &self.databases).await.context("dropping the database")
        })
    }

    /// The last lines that each service logged.
    pub fn last_words(&self) -> String {
        let words = |&service: &Service| format!("{}:\n{}", service.name(), last_lines(&self.log(service)));
        self.style.services.iter().map(words).collect::<Vec<_>>().join("\n")
    }

    /// Where a service logs.
    pub fn log(&self, service: Service) -> PathBuf {
        let name = format!("{}-{}-{}.log", self.databases.name, self.style.name, service.name());
        Path::new(&self.ground.directory).join(name)
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
