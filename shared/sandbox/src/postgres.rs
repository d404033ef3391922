//! A real PostgreSQL server: the one at `DATABASE_URL`, or a private one started for this process.

use std::{env, io, path::Path, time::Duration};

use nix::sys::signal::Signal;
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::{SandboxError, postgres_cluster::Cluster};

const EXTERNAL_ANSWER_MAX: Duration = Duration::from_secs(10);

/// A PostgreSQL server. When a private one is dropped without [`Postgres::stop`], the watchdog cleans up.
#[derive(Debug)]
pub struct Postgres {
    admin_url: Url,
    facts: ServerFacts,
    cluster: Option<Cluster>,
}

impl Postgres {
    /// Uses the server at `DATABASE_URL` if that is set, else starts a private one.
    pub async fn start() -> Result<Self, SandboxError> {
        match env::var("DATABASE_URL") {
            Err(env::VarError::NotPresent) => Self::start_private().await,
            Err(error) => Err(SandboxError::BadSetting { name: "DATABASE_URL", problem: error.to_string() }),
            Ok(url) => Self::use_external(&url).await,
        }
    }

    /// Starts a private server whatever `DATABASE_URL` says: for experiments that kill it.
    pub async fn start_private() -> Result<Self, SandboxError> {
        let (cluster, facts) = Cluster::start().await?;
        Ok(Self { admin_url: cluster.admin_url(), facts, cluster: Some(cluster) })
    }

    async fn use_external(url: &str) -> Result<Self, SandboxError> {
        let admin_url = Url::parse(url).map_err(|error| SandboxError::BadSetting {
            name: "DATABASE_URL",
            problem: format!("not a URL: {error}"),
        })?;
        let facts = ServerFacts::read(&admin_url, Instant::now() + EXTERNAL_ANSWER_MAX)
            .await
            .map_err(|source| SandboxError::Unreachable { server: "the server at DATABASE_URL", source })?;
        Ok(Self { admin_url, facts, cluster: None })
    }

    /// Where the superuser connects: the database `postgres` of a private server, else `DATABASE_URL`.
    pub fn admin_url(&self) -> &Url {
        &self.admin_url
    }

    /// Whether the server belongs to this process alone.
    pub fn is_private(&self) -> bool {
        self.cluster.is_some()
    }

    /// The scratch directory of a private server, with its log.
    pub fn directory(&self) -> Option<&Path> {
        self.cluster.as_ref().map(Cluster::directory)
    }

    /// The server's version, such as `15.18`.
    pub fn version(&self) -> &str {
        &self.facts.version
    }

    /// One line for reports, since figures depend on it.
    pub fn describe(&self) -> String {
        let ServerFacts { version, fsync } = &self.facts;
        let place = if self.is_private() { ", private cluster" } else { " at DATABASE_URL" };
        format!("PostgreSQL {version}{place}, fsync={fsync}")
    }

    /// Shuts a private server down and removes its files.
    pub async fn stop(self) -> Result<(), SandboxError> {
        match self.cluster {
            Some(cluster) => cluster.remove().await,
            None => Ok(()),
        }
    }

    /// Fault injection: ends the server at once, as a crash would. Its data stay.
    pub async fn kill(&mut self) -> Result<(), SandboxError> {
        let cluster = self.cluster.as_mut().ok_or(SandboxError::NotPrivate)?;
        cluster.shut_down(Signal::SIGQUIT).await
    }

    /// Starts the server again on the same port and data; one that still runs is shut down first.
    pub async fn restart(&mut self) -> Result<(), SandboxError> {
        let cluster = self.cluster.as_mut().ok_or(SandboxError::NotPrivate)?;
        cluster.shut_down(Signal::SIGINT).await?;
        self.facts = cluster.launch().await?;
        Ok(())
    }
}

/// What a server says about itself.
#[derive(Debug)]
pub(crate) struct ServerFacts {
    version: String,
    fsync: String,
}

impl ServerFacts {
    /// Connects to ask, which proves at the same time that the server can be used.
    pub(crate) async fn read(url: &Url, deadline: Instant) -> sqlx::Result<Self> {
        timeout_at(deadline, Self::query(url))
            .await
            .unwrap_or_else(|elapsed| Err(io::Error::from(elapsed).into()))
    }

    async fn query(url: &Url) -> sqlx::Result<Self> {
        let mut connection = PgConnection::connect(url.as_str()).await?;
        // Packagers append their own words to the version.
        let (version, fsync) = sqlx::query_as(
            "select split_part(current_setting('server_version'), ' ', 1), current_setting('fsync')",
        )
        .fetch_one(&mut connection)
        .await?;
        connection.close().await?;
        Ok(Self { version, fsync })
    }
}
