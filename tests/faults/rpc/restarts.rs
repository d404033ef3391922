//! A rolling restart of every service under load: two instances of each, and one after the other is told to stop and started again.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use domain::UserId;
use lab::running::{ServiceProcess, wait_ready};
use lab::styles::Features;
use lab::{Api, Service};
use prost::Message as _;
use reqwest::{StatusCode, Url};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use uuid::Uuid;

use super::messages::{HealthIs, HealthOf};
use super::raw::{Raw, received};
use crate::harness::{Outcome, Stage, Suite, cases};

/// How many restarts of an instance there are at the least, if not as many as this says.
const RESTARTS: usize = 100;
const RESTARTS_VARIABLE: &str = "ROLLING_RESTARTS";
/// Clients, each of whom places an order as soon as the one before is answered.
const CLIENTS: usize = 6;
const FUNDS: i64 = 1_000_000;
const SOON: Duration = Duration::from_secs(30);

const WATCH: &str = "/grpc.health.v1.Health/Watch";
const SERVING: i32 = 1;
const NOT_SERVING: i32 = 2;
const UNAVAILABLE: &str = "14";

pub fn register(suite: &mut Suite) {
    cases!(
        suite,
        "restarts",
        where Features::has_rpcs,
        [every_service_is_restarted_again_and_again_and_no_order_is_refused_or_made_twice]
    );
}

async fn every_service_is_restarted_again_and_again_and_no_order_is_refused_or_made_twice(
    stage: &mut Stage,
) -> Outcome {
    let restarts = std::env::var(RESTARTS_VARIABLE).map_or(Ok(RESTARTS), |number| number.parse())?;
    let mut pairs = Pairs::start(stage).await?;
    let clients = Clients::start(stage, &pairs).await?;
    let (mut made, mut under_way) = (0, 0);
    while made < restarts {
        for service in stage.style.services {
            for which in Which::BOTH {
                under_way += pairs.restart(stage, *service, which, &clients).await?;
                made += 1;
            }
        }
    }
    let placed = clients.end(stage).await?;
    println!("{made} instances restarted: {placed} orders, {under_way} of them under way at a restart");
    ensure!(under_way >= made, "it shows nothing: {under_way} orders were under way at {made} restarts");
    pairs.end().await
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Which {
    /// The one that the deployment looks after.
    First,
    Second,
}

impl Which {
    const BOTH: [Self; 2] = [Self::First, Self::Second];
}

/// Two instances of every service, each with somebody who watches its health.
struct Pairs(Vec<Pair>);

struct Pair {
    service: Service,
    addresses: [SocketAddr; 2],
    second: Option<ServiceProcess>,
    /// None of the gateway, which speaks no gRPC with its clients.
    watchers: [Option<Watcher>; 2],
}

/// What a stream of answers has told, once it has ended: the statuses, and the number of the last word.
type Watcher = JoinHandle<anyhow::Result<(Vec<i32>, String)>>;

impl Pairs {
    /// Starts a second instance of every service; each knows both of those that it calls.
    async fn start(stage: &mut Stage) -> anyhow::Result<Self> {
        let mut pairs = Self(Vec::new());
        for &service in stage.style.services {
            let second = SocketAddr::from(([127, 0, 0, 1], sandbox::free_port()?));
            let addresses = [stage.deployment.listens_at(service), second];
            stage.deployment.lead_to(service, &addresses);
            pairs.0.push(Pair { service, addresses, second: None, watchers: [None, None] });
        }
        for pair in &mut pairs.0 {
            stage.deployment.stop_service(pair.service).await?;
            for which in Which::BOTH {
                pair.begin(stage, which).await?;
            }
        }
        Ok(pairs)
    }

    /// Restarts one instance of `service`. Returns how many orders were under way when it was told to stop.
    async fn restart(
        &mut self,
        stage: &mut Stage,
        service: Service,
        which: Which,
        clients: &Clients,
    ) -> anyhow::Result<usize> {
        let pair =
            self.0.iter_mut().find(|pair| pair.service == service).context("a service of the style")?;
        let address = pair.addresses[which as usize];
        let is_gateway = service == Service::Gateway;
        if is_gateway {
            // As a balancer does before it has an instance stopped.
            clients.gateways.locked().retain(|gateway| *gateway != address);
        }
        let under_way = clients.under_way.load(Ordering::SeqCst);
        pair.finish(stage, which).await.with_context(|| format!("stopping {service:?}, {which:?}"))?;
        pair.begin(stage, which).await?;
        if is_gateway {
            clients.gateways.locked().push(address);
        }
        Ok(under_way)
    }

    /// Stops the second instances.
    async fn end(self) -> Outcome {
        // Callers first.
        for pair in self.0.into_iter().rev() {
            pair.second.context("it runs")?.stop().await?;
        }
        Ok(())
    }
}

impl Pair {
    async fn begin(&mut self, stage: &mut Stage, which: Which) -> Outcome {
        let address = self.addresses[which as usize];
        match which {
            Which::First => stage.deployment.start_service(self.service).await?,
            Which::Second => {
                let mut process = stage.deployment.launch_instance(self.service, address, None)?;
                wait_ready(&url(address)?, SOON, || {
                    ensure!(process.ended().is_none(), "{}", process.last_words());
                    Ok(())
                })
                .await?;
                self.second = Some(process);
            }
        }
        if self.service != Service::Gateway {
            let stream = Raw::connect(address).await?.open(WATCH, &HealthOf::default()).await?;
            self.watchers[which as usize] = Some(tokio::spawn(async move {
                let (body, trailers) = received(stream).await?;
                let status = trailers.get("grpc-status").context("a stream has a last word")?;
                Ok((statuses(&body)?, status.to_str()?.to_owned()))
            }));
        }
        Ok(())
    }

    /// Stops an instance. Whoever watches it is told, and does not hold it up.
    async fn finish(&mut self, stage: &mut Stage, which: Which) -> Outcome {
        match which {
            Which::First => stage.deployment.stop_service(self.service).await?,
            Which::Second => self.second.take().context("it runs")?.stop().await?,
        }
        let Some(watcher) = self.watchers[which as usize].take() else { return Ok(()) };
        let (statuses, last) = timeout(SOON, watcher).await.context("a stream that does not end")???;
        ensure!(
            statuses == [SERVING, NOT_SERVING] && last == UNAVAILABLE,
            "its watcher was told {statuses:?}, and then {last}"
        );
        Ok(())
    }
}

/// The statuses in a stream of answers.
fn statuses(mut body: &[u8]) -> anyhow::Result<Vec<i32>> {
    let mut statuses = Vec::new();
    while let [_, a, b, c, d, after @ ..] = body {
        let length = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d]))?;
        let (message, rest) = after.split_at_checked(length).context("half a message")?;
        statuses.push(HealthIs::decode(Bytes::copy_from_slice(message))?.status);
        body = rest;
    }
    Ok(statuses)
}

/// Clients in a closed loop, spread over the gateways that take requests.
struct Clients {
    gateways: Gateways,
    under_way: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    running: JoinSet<anyhow::Result<i64>>,
    user: UserId,
}

#[derive(Clone)]
struct Gateways(Arc<Mutex<Vec<SocketAddr>>>);

impl Gateways {
    fn locked(&self) -> std::sync::MutexGuard<'_, Vec<SocketAddr>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn one(&self) -> anyhow::Result<Url> {
        let gateways = self.locked();
        url(gateways[fastrand::usize(..gateways.len())])
    }
}

impl Clients {
    async fn start(stage: &Stage, pairs: &Pairs) -> anyhow::Result<Self> {
        let gateway = pairs.0.iter().find(|pair| pair.service == Service::Gateway).context("a gateway")?;
        let gateways = Gateways(Arc::new(Mutex::new(gateway.addresses.to_vec())));
        let user = stage.api.create_user_with(FUNDS).await?;
        let (under_way, over, mut running) = (Arc::default(), Arc::default(), JoinSet::new());
        for _ in 0..CLIENTS {
            let (gateways, under_way, over) = (gateways.clone(), Arc::clone(&under_way), Arc::clone(&over));
            running.spawn(order_until_over(stage.api.clone(), gateways, user, under_way, over));
        }
        Ok(Self { gateways, under_way, over, running, user })
    }

    /// Lets them place their last orders. Returns how many there were: each was paid for once.
    async fn end(self, stage: &Stage) -> anyhow::Result<i64> {
        self.over.store(true, Ordering::SeqCst);
        let mut placed = 0;
        for client in self.running.join_all().await {
            placed += client?;
        }
        let balance = stage.api.balance(self.user).await?;
        ensure!(balance == FUNDS - placed, "{placed} orders for 1, and a balance of {balance} of {FUNDS}");
        Ok(placed)
    }
}

async fn order_until_over(
    api: Api,
    gateways: Gateways,
    user: UserId,
    under_way: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
) -> anyhow::Result<i64> {
    let mut placed = 0;
    while !over.load(Ordering::SeqCst) {
        let key = Uuid::new_v4().to_string();
        let gateway = gateways.one()?;
        under_way.fetch_add(1, Ordering::SeqCst);
        // A client that says how long it waits is told what there is to tell, and does not ask again by itself.
        let headers = [("prefer", "wait=30"), ("idempotency-key", key.as_str())];
        let reply = api.at(gateway).order(user, 1, &headers).await;
        under_way.fetch_sub(1, Ordering::SeqCst);
        let reply = reply.with_context(|| format!("order {key} is not answered"))?;
        ensure!(reply.status == StatusCode::CREATED, "order {key} was refused: {reply:?}");
        placed += 1;
    }
    Ok(placed)
}

fn url(address: SocketAddr) -> anyhow::Result<Url> {
    Ok(format!("http://{address}/").parse()?)
}
