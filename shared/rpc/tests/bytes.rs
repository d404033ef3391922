//! What calls leave in metrics, held against what really travelled.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod trial;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use trial::{Server, client, echo, eventually, listen};

/// Counters by their names.
#[derive(Clone, Default)]
struct Counters(Arc<Mutex<HashMap<String, Arc<AtomicU64>>>>);

impl Counters {
    fn of(&self, name: &str) -> Arc<AtomicU64> {
        Arc::clone(self.0.lock().unwrap().entry(name.to_owned()).or_default())
    }
}

impl Recorder for Counters {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.of(key.name()))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// Passes one connection on, and counts the bytes that go to `to`, and that come from it.
async fn counting(to: SocketAddr) -> (SocketAddr, [Arc<AtomicU64>; 2]) {
    let listener = listen().await;
    let (address, counts) = (listener.local_addr().unwrap(), [Arc::default(), Arc::default()]);
    let [there, back] = counts.clone();
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let (client, server) = (client.into_split(), TcpStream::connect(to).await.unwrap().into_split());
        tokio::join!(pass_on(client.0, server.1, there), pass_on(server.0, client.1, back));
    });
    (address, counts)
}

async fn pass_on(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, count: Arc<AtomicU64>) {
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        to.write_all(&buffer[..read]).await.unwrap();
        count.fetch_add(read as u64, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn the_bytes_of_a_connection_are_counted_to_the_last_one() {
    let counters = Counters::default();
    let _guard = metrics::set_default_local_recorder(&counters);
    let server = Server::start().await;
    let (address, passed) = counting(server.address).await;
    let client = client(&[address]);
    for length in [1, 100, 10_000] {
        client.echo(&echo(&"x".repeat(length))).await.unwrap();
    }
    let counted = ["rpc_client_sent_bytes_total", "rpc_client_received_bytes_total"];
    let counted = counted.map(|name| counters.of(name));
    let both =
        || passed.iter().zip(&counted).map(|(it, other)| [it, other].map(|it| it.load(Ordering::SeqCst)));
    // Until what was sent last has been passed on.
    eventually("the same bytes", async || {
        both().all(|[passed, counted]| passed == counted && counted > 10_100)
    })
    .await;
}
