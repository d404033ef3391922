//! A plain TCP balancer: it spreads connections over the instances of a service, and knows nothing of the requests on them.
//!
//! As `HAProxy` does in TCP mode with `balance roundrobin` and `option redispatch`, without health checks: each new connection goes
//! to the next instance, one that refuses it is passed over, and one that is open stays where it is. Checks that only connect
//! would not change what is seen here. The system of a process that hangs accepts connections, so such a check finds it well.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use sandbox::free_port;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long an instance may take to accept a connection.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// A balancer in front of some instances.
pub struct Balancer {
    address: SocketAddr,
    /// Ends with this value, and every connection with it.
    _spreading: JoinSet<()>,
}

impl Balancer {
    /// Listens on a free port, and spreads connections over `instances`.
    ///
    /// # Errors
    /// When there is no port to listen on.
    pub async fn start(instances: Vec<SocketAddr>) -> anyhow::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let listener = TcpListener::bind(address).await.context("listening as a balancer")?;
        let mut spreading = JoinSet::new();
        spreading.spawn(spread(listener, instances.into()));
        Ok(Self { address, _spreading: spreading })
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn spread(listener: TcpListener, instances: Arc<[SocketAddr]>) {
    let mut open = JoinSet::new();
    for turn in 0.. {
        let Ok((client, _)) = listener.accept().await else { return };
        let instances = Arc::clone(&instances);
        open.spawn(async move {
            if let Some(instance) = connect(in_turn(&instances, turn)).await {
                pass_on(client, instance).await;
            }
        });
        while open.try_join_next().is_some() {}
    }
}

/// All instances, beginning with the one whose turn it is.
fn in_turn(instances: &[SocketAddr], turn: usize) -> impl Iterator<Item = SocketAddr> {
    let first = turn % instances.len().max(1);
    instances.iter().cycle().skip(first).take(instances.len()).copied()
}

/// A connection to the first that accepts one. If none does, there is none, and the client is hung up on.
async fn connect(instances: impl Iterator<Item = SocketAddr>) -> Option<TcpStream> {
    for instance in instances {
        if let Ok(Ok(connected)) = timeout(CONNECT_MAX, TcpStream::connect(instance)).await {
            return Some(connected);
        }
    }
    None
}

/// Until both sides have said all, or one of them is gone.
async fn pass_on(mut client: TcpStream, mut instance: TcpStream) {
    let prompt = client.set_nodelay(true).and_then(|()| instance.set_nodelay(true));
    if prompt.is_ok() {
        // How a connection ends is seen by those who have made it.
        let _ = copy_bidirectional(&mut client, &mut instance).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Tells everybody its `name`, after it was told something.
    async fn instance(name: u8) -> anyhow::Result<(SocketAddr, JoinSet<()>)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, free_port()?)).await?;
        let address = listener.local_addr()?;
        let mut answering = JoinSet::new();
        answering.spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                tokio::spawn(async move {
                    while client.read_u8().await.is_ok() && client.write_u8(name).await.is_ok() {}
                });
            }
        });
        Ok((address, answering))
    }

    async fn ask(connection: &mut TcpStream) -> std::io::Result<u8> {
        connection.write_u8(0).await?;
        connection.read_u8().await
    }

    async fn client(balancer: &Balancer) -> TcpStream {
        let port = balancer.address().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap()
    }

    #[test]
    fn every_instance_has_its_turn() {
        let all: Vec<SocketAddr> = [1, 2, 3].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))).into();
        let ports = |turn| in_turn(&all, turn).map(|address| address.port()).collect::<Vec<_>>();
        assert_eq!(ports(0), [1, 2, 3]);
        assert_eq!(ports(1), [2, 3, 1]);
        assert_eq!(ports(5), [3, 1, 2]);
        assert_eq!(in_turn(&[], 7).count(), 0);
    }

    #[tokio::test]
    async fn connections_are_spread_and_what_goes_over_one_stays_together() {
        let (one, _one) = instance(1).await.unwrap();
        let (two, _two) = instance(2).await.unwrap();
        let balancer = Balancer::start(vec![one, two]).await.unwrap();
        let mut clients = [client(&balancer).await, client(&balancer).await, client(&balancer).await];
        for _ in 0..3 {
            let mut answers = Vec::new();
            for client in &mut clients {
                answers.push(ask(client).await.unwrap());
            }
            assert_eq!(answers, [1, 2, 1]);
        }
    }

    #[tokio::test]
    async fn an_instance_that_refuses_is_passed_over_and_without_any_the_client_is_hung_up_on() {
        let (one, there) = instance(1).await.unwrap();
        let refuses = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().unwrap()));
        let balancer = Balancer::start(vec![refuses, one]).await.unwrap();
        for _ in 0..4 {
            assert_eq!(ask(&mut client(&balancer).await).await.unwrap(), 1);
        }
        drop(there);
        // The listener goes with its task, which is soon.
        let is_over = crate::eventually(Duration::from_secs(5), async || {
            anyhow::ensure!(ask(&mut client(&balancer).await).await.is_err(), "somebody still answers");
            Ok(())
        });
        is_over.await.unwrap();
    }
}
