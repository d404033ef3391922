//! A real PostgreSQL server: the one at `DATABASE_URL`, or a private one started for this process.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use nix::sys::signal::Signal;
use tokio::time::Instant;
use url::Url;

use crate::{
    SandboxError,
    container::Container,
    container_spec::{self, Spec},
    postgres_binaries::PostgresBinaries,
    postgres_cluster::Cluster,
    postgres_pair::Pair,
    postgres_server::{ServerFacts, random_password},
    setting,
};

const EXTERNAL_ANSWER_MAX: Duration = Duration::from_secs(10);

/// A PostgreSQL server. When a private one is dropped without [`Postgres::stop`], the watchdog cleans up.
#[derive(Debug)]
pub struct Postgres {
    admin_url: Url,
    facts: ServerFacts,
    server: Server,
}

#[derive(Debug)]
enum Server {
    External,
    Cluster(Box<Cluster>),
    Pair(Box<Pair>),
    Container(Box<Container>),
}

impl Postgres {
    /// Uses the server at `DATABASE_URL` if that is set, else starts a private one.
    pub async fn start() -> Result<Self, SandboxError> {
        match setting::read("DATABASE_URL")? {
            None => Self::start_private().await,
            Some(url) => Self::use_external(&url).await,
        }
    }

    /// Starts a private server whatever `DATABASE_URL` says: for experiments that kill it.
    pub async fn start_private() -> Result<Self, SandboxError> {
        if container_spec::wanted()? {
            return Self::start_container().await;
        }
        let (cluster, facts) = Cluster::start().await?;
        Ok(Self { admin_url: cluster.admin_url(), facts, server: Server::Cluster(Box::new(cluster)) })
    }

    /// Starts a private server with a standby, for experiments that [switch over](Self::switch_over). Its address is another one
    /// than the servers': connections go through this process. Never in containers.
    pub async fn start_with_standby() -> Result<Self, SandboxError> {
        let (pair, facts) = Pair::start().await?;
        Ok(Self { admin_url: pair.admin_url(), facts, server: Server::Pair(Box::new(pair)) })
    }

    async fn start_container() -> Result<Self, SandboxError> {
        let password = random_password()?;
        let spec = Spec::postgres(&password)?;
        let port = spec.host_port;
        let url = format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres?sslmode=disable");
        let admin_url = Url::parse(&url).expect("hexadecimal digits and a number leave the URL valid");
        let container = Container::start(spec).await?;
        let facts = ServerFacts::await_container(&admin_url).await?;
        Ok(Self { admin_url, facts, server: Server::Container(Box::new(container)) })
    }

    async fn use_external(url: &str) -> Result<Self, SandboxError> {
        let admin_url = Url::parse(url).map_err(|error| SandboxError::BadSetting {
            name: "DATABASE_URL",
            problem: format!("not a URL: {error}"),
        })?;
        let facts = ServerFacts::read(&admin_url, Instant::now() + EXTERNAL_ANSWER_MAX)
            .await
            .map_err(|source| SandboxError::Unreachable { server: "the server at DATABASE_URL", source })?;
        Ok(Self { admin_url, facts, server: Server::External })
    }

    /// Where the superuser connects: the database `postgres` of a private server, else `DATABASE_URL`.
    pub fn admin_url(&self) -> &Url {
        &self.admin_url
    }

    /// Whether the server belongs to this process alone.
    pub fn is_private(&self) -> bool {
        !matches!(self.server, Server::External)
    }

    /// The scratch directory of a private cluster, with its log; a container has none.
    pub fn directory(&self) -> Option<&Path> {
        match &self.server {
            Server::Cluster(cluster) => Some(cluster.directory()),
            Server::Pair(pair) => Some(pair.primary().directory()),
            Server::External | Server::Container(_) => None,
        }
    }

    /// The server's main process, the parent of all its others; `None` for one that is not ours, or in a container.
    pub fn process_id(&self) -> Option<u32> {
        match &self.server {
            Server::Cluster(cluster) => cluster.process_id(),
            Server::Pair(pair) => pair.primary().process_id(),
            Server::External | Server::Container(_) => None,
        }
    }

    /// Where a program of PostgreSQL's is, such as `pgbench`; `None` if it is not on this machine.
    pub fn client_program(&self, name: &str) -> Option<PathBuf> {
        PostgresBinaries::find_program(name)
    }

    /// The server's version, such as `15.18`.
    pub fn version(&self) -> &str {
        &self.facts.version
    }

    /// One line for reports, since figures depend on it.
    pub fn describe(&self) -> String {
        let ServerFacts { version, fsync } = &self.facts;
        let place = match &self.server {
            Server::External => " at DATABASE_URL".to_owned(),
            Server::Cluster(_) => ", private cluster".to_owned(),
            Server::Pair(_) => ", private cluster with a standby".to_owned(),
            Server::Container(container) => format!(" in a container of {}", container.image()),
        };
        format!("PostgreSQL {version}{place}, fsync={fsync}")
    }

    /// Shuts a private server down and removes its files.
    pub async fn stop(self) -> Result<(), SandboxError> {
        match self.server {
            Server::External => Ok(()),
            Server::Cluster(cluster) => cluster.remove().await,
            Server::Pair(pair) => pair.remove().await,
            Server::Container(container) => container.remove().await,
        }
    }

    /// Fault injection: ends the server at once, as a crash would. Its data stay.
    pub async fn kill(&mut self) -> Result<(), SandboxError> {
        match &mut self.server {
            Server::External => Err(SandboxError::NotPrivate { name: "DATABASE_URL" }),
            Server::Cluster(cluster) => cluster.shut_down(Signal::SIGQUIT).await,
            Server::Pair(pair) => pair.primary_mut().shut_down(Signal::SIGQUIT).await,
            Server::Container(container) => container.kill().await,
        }
    }

    /// Starts the server again on the same port and data; one that still runs is shut down first.
    pub async fn restart(&mut self) -> Result<(), SandboxError> {
        self.facts = match &mut self.server {
            Server::External => return Err(SandboxError::NotPrivate { name: "DATABASE_URL" }),
            Server::Cluster(cluster) => cluster.restart().await?,
            Server::Pair(pair) => pair.primary_mut().restart().await?,
            Server::Container(container) => {
                container.kill().await?;
                container.restart().await?;
                ServerFacts::await_container(&self.admin_url).await?
            }
        };
        Ok(())
    }

    /// Where the standby can be reached without the address that moves; `None` for a server that has none.
    pub fn standby_url(&self) -> Option<Url> {
        match &self.server {
            Server::Pair(pair) => Some(pair.standby().admin_url()),
            Server::External | Server::Cluster(_) | Server::Container(_) => None,
        }
    }

    /// Fault injection: the primary is stopped in order, its standby is promoted, and the old primary comes back as the standby of
    /// the new one. The address moves `late` after that, so for a while it leads to a server that takes no writes. Connections
    /// to that one stay open. Nothing that was committed is lost.
    pub async fn switch_over(&mut self, late: Duration) -> Result<(), SandboxError> {
        match &mut self.server {
            Server::Pair(pair) => pair.switch_over(late).await,
            Server::External | Server::Cluster(_) | Server::Container(_) => Err(SandboxError::NoStandby),
        }
    }
}
