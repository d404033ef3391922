//! What every PostgreSQL server of ours is given, and what any server says of itself.

use std::{
    fs::File,
    io::{self, Read},
    time::Duration,
};

use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep, timeout_at};
use url::Url;

use crate::SandboxError;

/// The image's first start creates the cluster.
const CONTAINER_READY_MAX: Duration = Duration::from_mins(1);
const CONTAINER_READY_POLL: Duration = Duration::from_millis(50);

/// The settings of a private server, cluster or container.
pub(crate) const SETTINGS: [&str; 4] = [
    "max_connections=500",
    // The defaults, said aloud: figures measured on this server are those of a durable one.
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
];

/// What a server says about itself.
#[derive(Debug)]
pub(crate) struct ServerFacts {
    pub(crate) version: String,
    pub(crate) fsync: String,
}

impl ServerFacts {
    /// Connects to ask, which proves at the same time that the server can be used.
    pub(crate) async fn read(url: &Url, deadline: Instant) -> sqlx::Result<Self> {
        timeout_at(deadline, Self::query(url))
            .await
            .unwrap_or_else(|elapsed| Err(io::Error::from(elapsed).into()))
    }

    /// Asks until the server in a container answers.
    pub(crate) async fn await_container(url: &Url) -> Result<Self, SandboxError> {
        let deadline = Instant::now() + CONTAINER_READY_MAX;
        loop {
            match Self::read(url, deadline).await {
                Ok(facts) => return Ok(facts),
                Err(_) if Instant::now() < deadline => sleep(CONTAINER_READY_POLL).await,
                Err(source) => {
                    return Err(SandboxError::Unreachable { server: "PostgreSQL in its container", source });
                }
            }
        }
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

/// For the superuser of a private server.
pub(crate) fn random_password() -> Result<String, SandboxError> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut bytes))
        .map_err(SandboxError::io("read /dev/urandom"))?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}
