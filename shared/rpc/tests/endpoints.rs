//! Several instances, of which some are away, hang, come or go.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod trial;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rpc::{CallError, ChannelSettings, Client, RpcSettings};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use trial::{
    Server, TrialServiceClient, channel_settings, channel_with, client, count, echo, echo_after, eventually,
    listen, rpc_settings,
};
use web::{PeerError, RequestContext};

/// Takes connections, reads, and never says anything. Counts the connections.
async fn hanging() -> (SocketAddr, Arc<Mutex<usize>>) {
    let listener = listen().await;
    let address = listener.local_addr().unwrap();
    let taken = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&taken);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            *counted.lock().unwrap() += 1;
            tokio::spawn(
                async move { while stream.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {} },
            );
        }
    });
    (address, taken)
}

/// Calls that count, so that none can be repeated, for a while. Returns how many there were, and those that failed.
async fn calls_for(client: &TrialServiceClient, duration: Duration) -> (usize, Vec<String>) {
    let until = Instant::now() + duration;
    let mut callers = JoinSet::new();
    for _ in 0..4 {
        let client = client.clone();
        callers.spawn(async move {
            let (mut calls, mut failed) = (0, Vec::new());
            while Instant::now() < until {
                calls += 1;
                failed.extend(client.count(&count("")).await.err().map(|error| error.to_string()));
            }
            (calls, failed)
        });
    }
    let all = callers.join_all().await;
    (all.iter().map(|it| it.0).sum(), all.into_iter().flat_map(|it| it.1).collect())
}

#[tokio::test]
async fn instances_share_the_calls() {
    let (one, two) = (Server::start().await, Server::start().await);
    let client = client(&[one.address, two.address]);
    eventually("both get calls", async || {
        client.echo(&echo("")).await.unwrap();
        one.calls() > 0 && two.calls() > 0
    })
    .await;
    let before = (one.calls(), two.calls());
    for _ in 0..100 {
        client.echo(&echo("")).await.unwrap();
    }
    let shares = (one.calls() - before.0, two.calls() - before.1);
    assert_eq!(shares, (50, 50));
}

#[tokio::test]
async fn an_instance_that_is_away_costs_no_call() {
    let (server, dead) = (Server::start().await, listen().await.local_addr().unwrap());
    let client = client(&[server.address, dead]);
    let (calls, failed) = calls_for(&client, Duration::from_secs(1)).await;
    assert!(calls > 50 && failed.is_empty(), "{} of {calls}: {:?}", failed.len(), failed.first());
}

#[tokio::test]
async fn an_instance_that_takes_connections_and_says_nothing_gets_no_call() {
    let server = Server::start().await;
    let (address, taken) = hanging().await;
    let client = client(&[address, server.address]);
    let (calls, failed) = calls_for(&client, Duration::from_secs(2)).await;
    assert!(calls > 50 && failed.is_empty(), "{} of {calls}: {:?}", failed.len(), failed.first());
    assert!(*taken.lock().unwrap() > 0, "it was not asked");
}

#[tokio::test]
async fn an_instance_that_hangs_up_at_once_is_dialled_again_with_backoff() {
    let server = Server::start().await;
    let listener = listen().await;
    let client = client(&[listener.local_addr().unwrap(), server.address]);
    let mut dialled = 0;
    let hang_up = async {
        loop {
            drop(listener.accept().await.unwrap());
            dialled += 1;
        }
    };
    tokio::select! {
        (calls, failed) = calls_for(&client, Duration::from_secs(2)) => {
            assert!(calls > 50 && failed.is_empty(), "{} of {calls}: {:?}", failed.len(), failed.first());
        }
        () = hang_up => {}
    }
    // Waits grow from at most 0.1 s, twofold. Of always so long ones there would be about 40.
    assert!((2..20).contains(&dialled), "it was dialled {dialled} times");
}

/// What a proxy does with its connections.
#[derive(Clone, Copy, PartialEq)]
enum Does {
    PassOn,
    /// Passes on nothing any more, without ending a connection: what a frozen process looks like.
    Freeze,
    /// Ends those that there are, in this round.
    Cut(u32),
}

async fn proxy(to: SocketAddr) -> (SocketAddr, watch::Sender<Does>) {
    let (address, tell, _) = counting_proxy(to).await;
    (address, tell)
}

/// As [`proxy`]; counts the connections that it has taken.
async fn counting_proxy(to: SocketAddr) -> (SocketAddr, watch::Sender<Does>, Arc<AtomicU32>) {
    let listener = listen().await;
    let address = listener.local_addr().unwrap();
    let (tell, told) = watch::channel(Does::PassOn);
    let taken = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&taken);
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            let mut told = told.clone();
            told.mark_unchanged();
            tokio::spawn(async move {
                let mut server = TcpStream::connect(to).await.unwrap();
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                    _ = told.changed() => {}
                }
                if *told.borrow() == Does::Freeze {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    (address, tell, taken)
}

/// A call that may take long would otherwise wait for its deadline.
#[tokio::test]
async fn a_call_does_not_wait_for_an_instance_that_has_become_silent_however_long_it_may_take() {
    let server = Server::start().await;
    let (address, tell) = proxy(server.address).await;
    let client = client(&[address]);
    client.echo(&echo("")).await.unwrap();
    tell.send(Does::Freeze).unwrap();
    let started = Instant::now();
    let patient = RequestContext::background(Duration::from_secs(20));
    let call = async { client.count(&count("")).timeout(Duration::from_secs(20)).await };
    let error = patient.scope(call).await.unwrap_err();
    assert!(matches!(error, CallError::Peer(PeerError::Unanswered { .. })), "{error}");
    // It is asked after 0.2 s, and given up after another 1 s.
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_connection_on_which_nobody_calls_is_asked_whether_its_peer_is_there() {
    let server = Server::start().await;
    let (address, tell, taken) = counting_proxy(server.address).await;
    let settings = ChannelSettings { keepalive_interval_ms: 100, ..channel_settings() };
    let channel = channel_with(&[address], settings);
    channel.probe().await.unwrap();
    tell.send(Does::Freeze).unwrap();
    // The one that has become silent is given up, and a new one opened.
    let before = taken.load(Ordering::SeqCst);
    let started = Instant::now();
    eventually("a new connection", async || taken.load(Ordering::SeqCst) > before).await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test]
async fn an_instance_that_freezes_fails_only_the_calls_that_it_has() {
    let (one, two) = (Server::start().await, Server::start().await);
    let (address, tell) = proxy(one.address).await;
    let client = client(&[address, two.address]);
    eventually("the first one is used", async || {
        client.echo(&echo("")).await.unwrap();
        one.calls() > 0
    })
    .await;
    tell.send(Does::Freeze).unwrap();
    let (calls, failed) = calls_for(&client, Duration::from_secs(3)).await;
    // Of each caller at most the one that was sent before it was known.
    assert!(calls > 50 && failed.len() <= 4, "{} of {calls}: {failed:?}", failed.len());
}

#[tokio::test]
async fn what_may_be_repeated_goes_elsewhere_when_an_instance_freezes() {
    let (one, two) = (Server::start().await, Server::start().await);
    let (address, tell) = proxy(one.address).await;
    let client = client(&[address, two.address]);
    eventually("the first one is used", async || {
        client.echo(&echo("")).await.unwrap();
        one.calls() > 0
    })
    .await;
    tell.send(Does::Freeze).unwrap();
    for _ in 0..20 {
        client.echo(&echo("")).await.unwrap();
    }
}

/// Dozens of calls are lost at once, which with one instance would open the breaker.
#[tokio::test]
async fn what_may_be_repeated_survives_an_instance_whose_connections_break() {
    let (one, two) = (Server::start().await, Server::start().await);
    let (address, tell) = proxy(one.address).await;
    let client = client(&[address, two.address]);
    let mut callers = JoinSet::new();
    for _ in 0..40 {
        let client = client.clone();
        callers.spawn(async move {
            for _ in 0..20 {
                client.echo(&echo_after(20)).await.map_err(|error| error.to_string())?;
            }
            Ok::<_, String>(())
        });
    }
    for round in 0..3 {
        let before = one.calls();
        eventually("it has calls again", async || one.calls() > before + 20).await;
        tell.send(Does::Cut(round)).unwrap();
    }
    let failed: Vec<_> = callers.join_all().await.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{}: {:?}", failed.len(), failed.first());
}

#[tokio::test]
async fn an_instance_that_stops_costs_no_call_and_one_that_starts_gets_its_share() {
    let (one, two) = (Server::start().await, Server::start().await);
    let (address, second) = (one.address, two.address);
    let client = client(&[address, second]);
    client.echo(&echo("")).await.unwrap();
    let load = tokio::spawn({
        let client = client.clone();
        async move { calls_for(&client, Duration::from_secs(3)).await }
    });
    sleep(Duration::from_millis(500)).await;
    one.stopped().await;
    let one = Server::start_with(TcpListener::bind(address).await.unwrap(), rpc_settings());
    let (calls, failed) = load.await.unwrap();
    assert!(calls > 50 && failed.is_empty(), "{} of {calls}: {:?}", failed.len(), failed.first());
    assert!(one.calls() > 0, "the one that came back gets no calls");
}

/// The one that is back was away for so long that it is dialled only now and then, and the other one goes at once.
#[tokio::test]
async fn an_instance_that_is_back_takes_over_from_one_that_goes() {
    let addresses = [listen().await, listen().await].map(|listener| listener.local_addr().unwrap());
    let start = async |which: usize| {
        Server::start_with(TcpListener::bind(addresses[which]).await.unwrap(), rpc_settings())
    };
    let mut last = start(0).await;
    let client = client(&addresses);
    client.echo(&echo("")).await.unwrap();
    let load = tokio::spawn({
        let client = client.clone();
        async move { calls_for(&client, Duration::from_secs(6)).await }
    });
    for round in 1..=10 {
        sleep(Duration::from_millis(500)).await;
        let next = start(round % 2).await;
        std::mem::replace(&mut last, next).stopped().await;
    }
    let (calls, failed) = load.await.unwrap();
    assert!(calls > 50 && failed.is_empty(), "{} of {calls}: {:?}", failed.len(), failed.first());
}

#[tokio::test]
async fn a_name_is_resolved_again_and_new_instances_share_the_calls() {
    let (one, two) = (Server::start().await, Server::start().await);
    let known = Arc::new(Mutex::new(vec![one.address]));
    let names = Arc::clone(&known);
    let resolver = Arc::new(move |name: String| -> futures_util::future::BoxFuture<'static, _> {
        assert_eq!(name, "trial:80");
        let addresses = names.lock().unwrap().clone();
        Box::pin(async move { Ok(addresses) })
    });
    let client = Client::new(channel_settings()).resolving_by(resolver);
    let client = TrialServiceClient::new(client.channel("trial", "trial:80".parse().unwrap()));
    client.echo(&echo("")).await.unwrap();
    assert_eq!((one.calls(), two.calls()), (1, 0));

    known.lock().unwrap().push(two.address);
    let started = Instant::now();
    eventually("the new one is used", async || {
        client.echo(&echo("")).await.unwrap();
        two.calls() > 0
    })
    .await;
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());

    // One that is found no longer gets no further calls; what it has, it answers.
    let slow = tokio::spawn({
        let client = client.clone();
        async move { client.echo(&echo_after(800)).await.map(drop) }
    });
    known.lock().unwrap().retain(|it| *it == two.address);
    eventually("the old one is left", async || {
        let before = one.calls();
        for _ in 0..4 {
            client.echo(&echo("")).await.unwrap();
        }
        one.calls() == before
    })
    .await;
    slow.await.unwrap().unwrap();
    // Whoever is asked for names may be away; that is no reason to give up instances.
    known.lock().unwrap().clear();
    sleep(Duration::from_millis(500)).await;
    client.echo(&echo("")).await.unwrap();
}

#[tokio::test]
async fn a_peer_that_is_away_opens_the_breaker_and_one_that_is_back_closes_it() {
    let listener = listen().await;
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = client(&[address]);
    eventually("the breaker opens", async || {
        let error = client.count(&count("")).await.unwrap_err();
        assert!(matches!(error, CallError::Peer(PeerError::Unreachable { .. })), "{error}");
        error.to_string().contains("circuit breaker is open")
    })
    .await;
    let _server = Server::start_with(TcpListener::bind(address).await.unwrap(), rpc_settings());
    eventually("the breaker closes", async || client.count(&count("")).await.is_ok()).await;
}

/// A hundred times: connections end while calls are under way on them, and new ones begin.
#[tokio::test]
async fn connections_that_age_under_load_fail_no_call() {
    let aging = RpcSettings { connection_age_max_s: 0.03, ..rpc_settings() };
    let (one, two) =
        (Server::start_with(listen().await, aging.clone()), Server::start_with(listen().await, aging));
    for addresses in [vec![one.address], vec![one.address, two.address]] {
        let client = client(&addresses);
        let (calls, failed) = calls_for(&client, Duration::from_secs(4)).await;
        assert!(calls > 500 && failed.is_empty(), "{} of {calls}: {:?}", failed.len(), failed.first());
    }
}

#[tokio::test]
async fn a_probe_tells_whether_an_instance_is_there() {
    let server = Server::start().await;
    let dead = listen().await.local_addr().unwrap();
    channel_with(&[server.address, dead], channel_settings()).probe().await.unwrap();
    channel_with(&[dead], channel_settings()).probe().await.unwrap_err();
    let (address, _) = hanging().await;
    channel_with(&[address], channel_settings()).probe().await.unwrap_err();
}
