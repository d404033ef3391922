//! What the services need around them, started by one call and gone without a trace afterwards: a real
//! PostgreSQL server, a Kafka broker, and an SMTP server whose mail can be read back.
//!
//! Set `DATABASE_URL`, `KAFKA_BROKERS` or `SMTP_URL` to use servers of your own instead. Whatever the sandbox starts
//! itself runs on the loopback interface, in temporary directories that a watchdog removes even after `kill -9`, and
//! takes orders to fail: see [`Postgres::kill`], [`Postgres::switch_over`], [`Kafka::down`] and [`Behaviour`]. With `SANDBOX=containers`, in a build
//! with the feature `containers`, the private servers are containers.

use std::{path::Path, sync::Arc};

use container::Container;

#[cfg_attr(not(feature = "containers"), path = "container_absent.rs")]
mod container;
mod container_spec;
mod error;
mod kafka;
mod kafka_command;
mod kafka_in_memory;
mod mailbox;
mod movable_address;
mod port;
mod postgres;
mod postgres_binaries;
mod postgres_cluster;
mod postgres_fetch;
mod postgres_package;
mod postgres_pair;
mod postgres_server;
mod run_as;
mod scratch;
mod setting;
mod smtp;
mod smtp_inbox;
mod smtp_server;

pub use error::SandboxError;
pub use kafka::Kafka;
pub use kafka_in_memory::InMemoryBroker;
pub use mailbox::{Mailbox, ReceivedMail};
pub use port::free_port;
pub use postgres::Postgres;
pub use scratch::ScratchDir;
pub use smtp::{Smtp, SmtpSink};
pub use smtp_inbox::Behaviour;

/// PostgreSQL, Kafka and SMTP, together.
#[derive(Debug)]
pub struct Sandbox {
    /// The database server.
    pub postgres: Postgres,
    /// The message broker.
    pub kafka: Arc<Kafka>,
    /// The mail server.
    pub smtp: Smtp,
    /// The mail server, if it is a container.
    mail: Option<Container>,
    directory: ScratchDir,
}

impl Sandbox {
    /// Starts what the environment does not already provide.
    pub async fn start() -> Result<Self, SandboxError> {
        let directory = ScratchDir::create()?;
        let mail = directory.path().join("mail");
        let (postgres, kafka, (smtp, mail)) =
            tokio::try_join!(Postgres::start(), Kafka::start(), start_mail(&mail))?;
        Ok(Self { postgres, kafka: Arc::new(kafka), smtp, mail, directory })
    }

    /// The sandbox's own directory, for files that may go when it goes.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Stops what was started and removes its files. A sandbox that is merely dropped is cleaned up too, only
    /// nobody waits for it.
    pub async fn stop(mut self) -> Result<(), SandboxError> {
        if let Smtp::Sink(sink) = &mut self.smtp {
            sink.suspend().await;
        }
        let kafka = async {
            match Arc::into_inner(self.kafka) {
                Some(kafka) => kafka.stop().await,
                // It ends with its last user.
                None => Ok(()),
            }
        };
        let mail = async {
            match self.mail {
                Some(container) => container.remove().await,
                None => Ok(()),
            }
        };
        let stopped = tokio::join!(kafka, self.postgres.stop(), mail);
        self.directory.remove().await.and(stopped.0).and(stopped.1).and(stopped.2)
    }
}

/// The sink, unless containers are asked for; their mailbox is not ours to read.
async fn start_mail(directory: &Path) -> Result<(Smtp, Option<Container>), SandboxError> {
    if setting::read("SMTP_URL")?.is_some() || !container_spec::wanted()? {
        return Ok((Smtp::start(directory).await?, None));
    }
    let (url, container) = smtp::start_container().await?;
    Ok((Smtp::External(url), Some(container)))
}
