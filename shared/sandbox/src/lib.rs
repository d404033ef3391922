//! What the services need around them, started by one call and gone without a trace afterwards: a real
//! PostgreSQL server and an SMTP server whose mail can be read back.
//!
//! Set `DATABASE_URL` or `SMTP_URL` to use servers of your own instead. Whatever the sandbox starts itself runs on
//! the loopback interface, in temporary directories that a watchdog removes even after `kill -9`, and takes orders
//! to fail: see [`Postgres::kill`] and [`Behaviour`].

use std::path::Path;

mod error;
mod mailbox;
mod port;
mod postgres;
mod postgres_binaries;
mod postgres_cluster;
mod run_as;
mod scratch;
mod smtp;
mod smtp_server;

pub use error::SandboxError;
pub use mailbox::{Mailbox, ReceivedMail};
pub use port::free_port;
pub use postgres::Postgres;
pub use scratch::ScratchDir;
pub use smtp::{Behaviour, Smtp, SmtpSink};

/// PostgreSQL and SMTP, together.
#[derive(Debug)]
pub struct Sandbox {
    /// The database server.
    pub postgres: Postgres,
    /// The mail server.
    pub smtp: Smtp,
    directory: ScratchDir,
}

impl Sandbox {
    /// Starts what the environment does not already provide.
    pub async fn start() -> Result<Self, SandboxError> {
        let directory = ScratchDir::create()?;
        let mail = directory.path().join("mail");
        let (postgres, smtp) = tokio::try_join!(Postgres::start(), Smtp::start(&mail))?;
        Ok(Self { postgres, smtp, directory })
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
        self.postgres.stop().await?;
        self.directory.remove().await
    }
}
