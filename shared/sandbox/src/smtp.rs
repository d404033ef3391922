//! An SMTP server that accepts all mail into a [`Mailbox`], or fails as it is told to.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;
use url::Url;

use crate::{
    Mailbox, SandboxError,
    container::Container,
    container_spec::Spec,
    free_port, setting,
    smtp_inbox::{Behaviour, Inbox},
    smtp_server::serve,
};

/// How long the server in a container may take to greet.
const GREETING_MAX: Duration = Duration::from_mins(1);
const GREETING_POLL: Duration = Duration::from_millis(50);

/// Where mail goes.
#[derive(Debug)]
pub enum Smtp {
    /// Into the embedded sink.
    Sink(SmtpSink),
    /// To the server at `SMTP_URL`.
    External(Url),
}

impl Smtp {
    /// Uses the server at `SMTP_URL` if that is set, else starts a sink that stores mail in `directory`.
    pub async fn start(directory: &Path) -> Result<Self, SandboxError> {
        match setting::read("SMTP_URL")? {
            None => SmtpSink::start(directory).await.map(Self::Sink),
            Some(url) => Url::parse(&url).map(Self::External).map_err(|error| SandboxError::BadSetting {
                name: "SMTP_URL",
                problem: format!("not a URL: {error}"),
            }),
        }
    }

    /// Where to send mail.
    pub fn url(&self) -> &Url {
        match self {
            Self::Sink(sink) => sink.url(),
            Self::External(url) => url,
        }
    }

    /// What was received, if the server is ours to look into.
    pub fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            Self::Sink(sink) => Some(sink.mailbox()),
            Self::External(_) => None,
        }
    }
}

/// Starts a mail server in a container and waits until it greets.
pub(crate) async fn start_container() -> Result<(Url, Container), SandboxError> {
    let spec = Spec::mail()?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, spec.host_port));
    let container = Container::start(spec).await?;
    let deadline = Instant::now() + GREETING_MAX;
    while let Err(error) = timeout_at(deadline, greeting(address)).await.map_err(io::Error::from).flatten() {
        if Instant::now() >= deadline {
            return Err(SandboxError::io(format!("reach the mail server in {}", container.image()))(error));
        }
        sleep(GREETING_POLL).await;
    }
    Ok((Url::parse(&format!("smtp://{address}")).expect("an address leaves the URL valid"), container))
}

/// The engine accepts connections before the server does; only a greeting (RFC 5321, 3.1) proves that it is there.
async fn greeting(address: SocketAddr) -> io::Result<()> {
    let mut code = [0; 3];
    TcpStream::connect(address).await?.read_exact(&mut code).await?;
    if code == *b"220" { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// The embedded SMTP server. It ends when it is dropped; the mail stays.
#[derive(Debug)]
pub struct SmtpSink {
    address: SocketAddr,
    url: Url,
    inbox: Arc<Inbox>,
    /// `None` while suspended.
    server: Option<Server>,
}

#[derive(Debug)]
struct Server {
    task: JoinHandle<()>,
    stop: DropGuard,
}

impl SmtpSink {
    /// Starts a sink on a free port of 127.0.0.1 that adds to the mailbox in `directory`, created if need be.
    pub async fn start(directory: &Path) -> Result<Self, SandboxError> {
        let inbox = Inbox::open(directory)
            .map_err(SandboxError::io(format!("open the mailbox {}", directory.display())))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let url = Url::parse(&format!("smtp://{address}")).expect("an address leaves the URL valid");
        let mut sink = Self { address, url, inbox: Arc::new(inbox), server: None };
        sink.resume().await?;
        Ok(sink)
    }

    /// Where to send mail: `smtp://127.0.0.1:<port>`.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// What was received.
    pub fn mailbox(&self) -> &Mailbox {
        &self.inbox.mailbox
    }

    /// Fault injection: from the next command on, in every connection.
    pub fn set_behaviour(&self, behaviour: Behaviour) {
        self.inbox.behaviour.send_replace(behaviour);
    }

    /// Fault injection: closes all connections and refuses new ones until [`SmtpSink::resume`].
    pub async fn suspend(&mut self) {
        if let Some(Server { task, stop }) = self.server.take() {
            drop(stop);
            if task.await.is_err() {
                warn!("the SMTP sink's server had ended by itself");
            }
        }
    }

    /// Listens again on the same port.
    pub async fn resume(&mut self) -> Result<(), SandboxError> {
        if self.server.is_none() {
            let listener = TcpListener::bind(self.address)
                .await
                .map_err(SandboxError::io(format!("listen on {}", self.address)))?;
            let stop = CancellationToken::new();
            let task = tokio::spawn(serve(listener, Arc::clone(&self.inbox), stop.clone()));
            self.server = Some(Server { task, stop: stop.drop_guard() });
        }
        Ok(())
    }
}
