//! What each fault does, from its beginning to its end: when the function returns, it is over and healed.

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::Signal;
use sandbox::Behaviour;
use tokio::time::sleep;

use super::arena::Arena;
use super::kinds::Fault;
use super::{poison, twice};
use crate::running::wait_ready;
use crate::styles::Service;

/// How long an armed service may take to get to its crash point; not every one lies on the way of what clients happen to ask.
const ARMED_MAX: Duration = Duration::from_secs(4);
/// How long a replica may take to rebuild.
const REBUILD_MAX: Duration = Duration::from_mins(1);

/// What is worth saying about a fault's end.
type Remark = String;

impl Fault {
    /// Makes it, and waits until it is over.
    ///
    /// # Errors
    /// When it cannot be made, or what it met does not come back.
    pub(super) async fn happen(&self, arena: &Arena) -> anyhow::Result<Remark> {
        match *self {
            Self::Kill { service, away } => kill(arena, service, away).await,
            Self::Crash { service, point, spared } => crash(arena, service, point, spared).await,
            Self::Freeze { service, lasts } => freeze(arena, service, lasts).await,
            Self::Restart { service } => restart(arena, service).await,
            Self::Replica { service, lasts, killed } => replica(arena, service, lasts, killed).await,
            Self::DatabaseDown { lasts } => database_down(arena, lasts).await,
            Self::Switchover { late } => switchover(arena, late).await,
            Self::MailMisbehaves { behaviour, lasts } => mail_misbehaves(arena, behaviour, lasts).await,
            Self::MailDown { lasts } => mail_down(arena, lasts).await,
            Self::BrokerDown { lasts } => broker_down(arena, lasts).await,
            Self::Twice { lasts } => twice::everything(arena, lasts).await,
            Self::Poison { topic, partition, spoiling } => {
                poison::put(arena, topic, partition, spoiling).await
            }
            Self::Rebuild { service, command } => rebuild(arena, service, command).await,
        }
    }
}

async fn kill(arena: &Arena, service: Service, away: Duration) -> anyhow::Result<Remark> {
    arena.deployment.lock().await.kill(service).await?;
    sleep(away).await;
    arena.start_service(service).await?;
    Ok(Remark::new())
}

async fn crash(arena: &Arena, service: Service, point: &str, spared: u32) -> anyhow::Result<Remark> {
    let old = arena.deployment.lock().await.take(service)?;
    old.stop().await?;
    let mut armed = {
        let mut deployment = arena.deployment.lock().await;
        deployment.spawn(service, Some(format!("{point}={spared}*off->panic")))?;
        deployment.take(service)?
    };
    let died = armed.wait(ARMED_MAX).await;
    armed.kill().await?;
    arena.start_service(service).await?;
    Ok(if died.is_ok() { Remark::new() } else { ": did not get there, kill -9".to_owned() })
}

async fn freeze(arena: &Arena, service: Service, lasts: Duration) -> anyhow::Result<Remark> {
    arena.frozen(lasts);
    let stopped = arena.deployment.lock().await.signal(service, Signal::SIGSTOP);
    sleep(lasts).await;
    // One that has just ended by itself is neither stopped nor goes on.
    if stopped.and(arena.deployment.lock().await.signal(service, Signal::SIGCONT)).is_err() {
        arena.ready(service).await?;
    }
    Ok(Remark::new())
}

async fn restart(arena: &Arena, service: Service) -> anyhow::Result<Remark> {
    let old = arena.deployment.lock().await.take(service)?;
    old.stop().await?;
    arena.start_service(service).await?;
    Ok(Remark::new())
}

async fn replica(arena: &Arena, service: Service, lasts: Duration, killed: bool) -> anyhow::Result<Remark> {
    let (mut second, url) = arena.deployment.lock().await.launch_replica(service)?;
    // It may be ended before it is ready: that happens to replicas.
    let is_ready = wait_ready(&url, lasts, || Ok(())).await.is_ok();
    sleep(lasts).await;
    if killed {
        second.kill().await?;
    } else {
        second.stop().await?;
    }
    Ok(if is_ready { Remark::new() } else { ": was not ready in time".to_owned() })
}

async fn database_down(arena: &Arena, lasts: Duration) -> anyhow::Result<Remark> {
    let mut postgres = arena.postgres.lock().await;
    postgres.kill().await?;
    sleep(lasts).await;
    arena.broker_must_stay.fetch_or(arena.kafka.is_in_memory(), Ordering::Relaxed);
    postgres.restart().await?;
    Ok(Remark::new())
}

async fn switchover(arena: &Arena, late: Duration) -> anyhow::Result<Remark> {
    // Both servers are started.
    arena.broker_must_stay.fetch_or(arena.kafka.is_in_memory(), Ordering::Relaxed);
    arena.postgres.lock().await.switch_over(late).await?;
    Ok(Remark::new())
}

async fn mail_misbehaves(arena: &Arena, behaviour: Behaviour, lasts: Duration) -> anyhow::Result<Remark> {
    let sink = arena.sink.lock().await;
    sink.set_behaviour(behaviour);
    sleep(lasts).await;
    sink.set_behaviour(Behaviour::Accept);
    Ok(Remark::new())
}

async fn mail_down(arena: &Arena, lasts: Duration) -> anyhow::Result<Remark> {
    let mut sink = arena.sink.lock().await;
    sink.suspend().await;
    sleep(lasts).await;
    sink.resume().await?;
    Ok(Remark::new())
}

async fn broker_down(arena: &Arena, lasts: Duration) -> anyhow::Result<Remark> {
    if arena.broker_must_stay.load(Ordering::Relaxed) {
        return Ok(": left alone, the database shares the in-memory broker's connections".to_owned());
    }
    arena.kafka.down().await?;
    sleep(lasts).await;
    arena.kafka.up().await?;
    Ok(Remark::new())
}

async fn rebuild(arena: &Arena, service: Service, command: &str) -> anyhow::Result<Remark> {
    let process = arena.deployment.lock().await.launch_once(service, command)?;
    process.succeed(command, REBUILD_MAX).await.context("a replica cannot be rebuilt")?;
    Ok(Remark::new())
}
