//! A PostgreSQL server with a streaming standby, behind one address that can be moved: for experiments that switch over.

use std::time::Duration;

use nix::sys::signal::Signal;
use sqlx::{Connection as _, PgConnection};
use tokio::time::{Instant, sleep};
use url::Url;

use crate::{
    SandboxError, movable_address::MovableAddress, postgres_cluster::Cluster, postgres_server::ServerFacts,
};

/// How long a standby may take to reach the server that it follows.
const STREAMING_MAX: Duration = Duration::from_secs(30);
const STREAMING_POLL: Duration = Duration::from_millis(20);

/// Two clusters, one of which takes writes.
#[derive(Debug)]
pub(crate) struct Pair {
    address: MovableAddress,
    primary: Cluster,
    standby: Cluster,
}

impl Pair {
    /// Starts a server and its standby.
    pub(crate) async fn start() -> Result<(Self, ServerFacts), SandboxError> {
        let mut primary = Cluster::create().await?;
        let mut standby = primary.copy().await?;
        let facts = primary.launch_somewhere().await?;
        standby.follow(primary.port())?;
        standby.launch_somewhere().await?;
        let address = MovableAddress::leading_to(primary.port()).await?;
        let pair = Self { address, primary, standby };
        pair.await_streaming().await?;
        Ok((pair, facts))
    }

    /// The superuser's address, which moves.
    pub(crate) fn admin_url(&self) -> Url {
        let mut url = self.primary.admin_url();
        url.set_port(Some(self.address.port())).expect("a database URL has a port");
        url
    }

    /// The server that takes writes.
    pub(crate) fn primary(&self) -> &Cluster {
        &self.primary
    }

    /// As [`Self::primary`], to end and to start it.
    pub(crate) fn primary_mut(&mut self) -> &mut Cluster {
        &mut self.primary
    }

    /// The server that takes no writes.
    pub(crate) fn standby(&self) -> &Cluster {
        &self.standby
    }

    /// Stops the primary in order, promotes the standby, has the old primary follow it, and `late` after that moves the address.
    ///
    /// Nothing is lost: a server that is stopped in order ends only when its standby has everything. In the meantime the address
    /// leads to a server that is not there, and then to one that takes no writes.
    pub(crate) async fn switch_over(&mut self, late: Duration) -> Result<(), SandboxError> {
        self.await_streaming().await?;
        self.primary.shut_down(Signal::SIGINT).await?;
        promote(&self.standby).await?;
        self.standby.promoted();
        self.primary.follow(self.standby.port())?;
        self.primary.launch().await?;
        sleep(late).await;
        self.address.move_to(self.standby.port());
        std::mem::swap(&mut self.primary, &mut self.standby);
        Ok(())
    }

    /// Stops both servers and removes their clusters.
    pub(crate) async fn remove(self) -> Result<(), SandboxError> {
        self.address.close().await;
        let primary = self.primary.remove().await;
        self.standby.remove().await.and(primary)
    }

    async fn await_streaming(&self) -> Result<(), SandboxError> {
        let failed = |source| SandboxError::Unreachable { server: "the primary PostgreSQL", source };
        let deadline = Instant::now() + STREAMING_MAX;
        let mut connection =
            PgConnection::connect(self.primary.admin_url().as_str()).await.map_err(failed)?;
        loop {
            let streams: bool = sqlx::query_scalar(
                "select exists (select from pg_stat_replication where state = 'streaming')",
            )
            .fetch_one(&mut connection)
            .await
            .map_err(failed)?;
            if streams {
                return connection.close().await.map_err(failed);
            }
            if Instant::now() > deadline {
                return Err(SandboxError::StandbyLags { seconds: STREAMING_MAX.as_secs() });
            }
            sleep(STREAMING_POLL).await;
        }
    }
}

/// Has a standby take writes.
async fn promote(standby: &Cluster) -> Result<(), SandboxError> {
    let failed = |source| SandboxError::Unreachable { server: "the standby PostgreSQL", source };
    let mut connection = PgConnection::connect(standby.admin_url().as_str()).await.map_err(failed)?;
    // Waits until it takes writes, for a minute at most.
    let promoted: bool =
        sqlx::query_scalar("select pg_promote()").fetch_one(&mut connection).await.map_err(failed)?;
    connection.close().await.map_err(failed)?;
    if promoted { Ok(()) } else { Err(SandboxError::NotPromoted) }
}
