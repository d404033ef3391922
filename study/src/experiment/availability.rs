//! What happens while a part is away: it is killed, orders go on to be placed at a steady rate, and it comes back.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use lab::running::{Ground, Options};
use lab::styles::{Service, Style};
use sandbox::{Mailbox, Postgres, Sandbox};
use tokio::time::sleep;

use super::fates;
use super::orders::{Clients, now_s};
use super::outage::{self, Away};
use super::stage::Stage;
use crate::figures::OutageFigures;

/// Orders that fall due each second, before, during and after an outage.
const ORDERS_PER_S: f64 = 20.0;
/// How long before the part goes away.
const BEFORE: Duration = Duration::from_secs(2);
/// How long until it is started again.
const AWAY: Duration = Duration::from_secs(4);
/// How long afterwards.
const AFTER: Duration = Duration::from_secs(3);
/// How long what was promised may take to be done.
const SETTLED_MAX: Duration = Duration::from_mins(1);

/// What can go away.
#[derive(Clone, Copy)]
enum Part {
    Service(Service),
    Broker,
    Database,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Service(service) => service.name(),
            Self::Broker => "broker",
            Self::Database => "database",
        }
    }
}

/// Where parts go away: on a PostgreSQL server of its own.
struct Experiment<'a> {
    stage: Stage,
    sandbox: &'a Sandbox,
    postgres: Postgres,
    clients: Clients,
}

/// Takes one part after the other away from `style`. Says what happened; what is wrong when it is over joins `violations`.
///
/// The broker is the sandbox's own, whom nobody else needs at the time; the one in memory stays, since it says nothing about
/// lost brokers, and so does one that is not ours.
pub(crate) async fn measure(
    style: &'static Style,
    sandbox: &Sandbox,
    seed: u64,
    violations: &mut Vec<String>,
) -> anyhow::Result<Vec<OutageFigures>> {
    let postgres = Postgres::start_private().await?;
    let ground = Ground { postgres: postgres.admin_url().clone(), ..Ground::of(sandbox) };
    let stage = Stage::set_on(style, sandbox, ground, Options::default()).await?;
    let clients = Clients::new(&stage.api, seed).await?;
    let mut experiment = Experiment { stage, sandbox, postgres, clients };
    // Without its gateway there is nobody to ask.
    let mut parts: Vec<Part> = style.owners().map(Part::Service).collect();
    if style.features.has_messages() && sandbox.kafka.is_private() && !sandbox.kafka.is_in_memory() {
        parts.push(Part::Broker);
    }
    parts.push(Part::Database);
    let mut found = Vec::new();
    for part in parts {
        eprintln!("... {}: orders while {} is away", style.name, part.name());
        let figures = experiment.outage(part).await.with_context(|| format!("{} away", part.name()))?;
        found.push(figures);
        let wrong = experiment.stage.rest().await?;
        violations.extend(wrong.into_iter().map(|what| format!("after {} was away: {what}", part.name())));
    }
    experiment.stage.deployment.stop().await?;
    experiment.postgres.stop().await?;
    Ok(found)
}

impl Experiment<'_> {
    async fn outage(&mut self, part: Part) -> anyhow::Result<OutageFigures> {
        let is_over = Arc::new(AtomicBool::new(false));
        let (mut clients, over) = (self.clients.fork(), Arc::clone(&is_over));
        let load =
            tokio::spawn(
                async move { clients.open(ORDERS_PER_S, move |_| !over.load(Ordering::Relaxed)).await },
            );
        let outcome = self.take_away(part).await;
        // Also after an error: the load would go on for ever.
        is_over.store(true, Ordering::Relaxed);
        let (away, placed) = (outcome?, load.await??);
        let auditor = &self.stage.deployment.addresses.auditor;
        let fates = match fates::settled(auditor, &placed, SETTLED_MAX).await {
            Ok(fates) => fates,
            // What is not done by now is lost, and counted.
            Err(_) => fates::of(auditor, &placed).await?,
        };
        let copies = copies(self.stage.deployment.mailbox())?;
        Ok(outage::count(part.name(), away, &outage::told(&placed, &fates, &copies)))
    }

    /// The outage, with a while before it and after it.
    async fn take_away(&mut self, part: Part) -> anyhow::Result<Away> {
        sleep(BEFORE).await;
        match part {
            Part::Service(service) => self.stage.deployment.kill(service).await?,
            Part::Broker => self.sandbox.kafka.down().await?,
            Part::Database => self.postgres.kill().await?,
        }
        let from_s = now_s();
        sleep(AWAY).await;
        match part {
            Part::Service(service) => self.stage.deployment.start_service(service).await?,
            Part::Broker => self.sandbox.kafka.up().await?,
            Part::Database => self.postgres.restart().await?,
        }
        self.stage.deployment.supervise().await?;
        let to_s = now_s();
        sleep(AFTER).await;
        Ok(Away { from_s, to_s })
    }
}

/// How often each `Message-ID` is in the mailbox.
fn copies(mailbox: Option<&Mailbox>) -> anyhow::Result<HashMap<String, i64>> {
    let mut copies = HashMap::new();
    for mail in mailbox.map(Mailbox::messages).transpose()?.into_iter().flatten() {
        *copies.entry(mail.message_id).or_default() += 1;
    }
    Ok(copies)
}
