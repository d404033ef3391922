//! A TCP address that can be moved from one server to another, as a virtual address or a name is when a standby takes over.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tracing::debug;

use crate::{SandboxError, free_port};

/// An address that leads somewhere. Moved, it leads new connections elsewhere; those that are open stay where they are.
#[derive(Debug)]
pub(crate) struct MovableAddress {
    port: u16,
    leads_to: watch::Sender<u16>,
    /// Ends with this value, and every connection with it.
    forwarding: JoinSet<()>,
}

impl MovableAddress {
    /// An address of its own that leads to `port`.
    pub(crate) async fn leading_to(port: u16) -> Result<Self, SandboxError> {
        let (leads_to, target) = watch::channel(port);
        let port = free_port()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .map_err(SandboxError::io("listen on an address that can be moved"))?;
        let mut forwarding = JoinSet::new();
        forwarding.spawn(forward(listener, target));
        Ok(Self { port, leads_to, forwarding })
    }

    /// Where to connect.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Leads nowhere any more, when this returns.
    pub(crate) async fn close(mut self) {
        self.forwarding.shutdown().await;
    }

    /// Leads to `port` from now on.
    pub(crate) fn move_to(&self, port: u16) {
        self.leads_to.send_replace(port);
    }
}

async fn forward(listener: TcpListener, target: watch::Receiver<u16>) {
    let mut open = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, *target.borrow()));
        open.spawn(async move {
            if let Err(error) = pass_on(client, server).await {
                debug!(%error, "a connection through a movable address has ended");
            }
        });
        while open.try_join_next().is_some() {}
    }
}

/// Until both sides have said all. Where nobody listens, the client is hung up on.
async fn pass_on(mut client: TcpStream, server: SocketAddr) -> io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
