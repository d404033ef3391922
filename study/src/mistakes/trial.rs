//! One version under load and faults: billing dies where it hurts, is started again, and at the end everything is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use fastrand::Rng;
use lab::checking::{Checker, Violation};
use lab::driving::Api;
use lab::running::{Deployment, FAULT_SETTINGS, Ground, Options};
use lab::styles::{Service, Style};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::kinds::{Mistake, Version};
use super::load::{self, Load};

/// How often billing dies, and the most commits that it survives in between.
const DEATHS: usize = 3;
const SPARED_MAX: u64 = 4;
/// How often billing, and at the end everything, is looked at.
const POLL: Duration = Duration::from_millis(50);
/// Once nothing has changed for so long in the wrong version, nothing will: longer than any service waits before it tries again.
const UNCHANGED: Duration = Duration::from_secs(8);
/// How long everything may take to come to rest.
const REST_MAX: Duration = Duration::from_mins(1);

/// What came of one version.
pub(super) struct Trial {
    pub(super) requests: u64,
    pub(super) violations: Vec<Violation>,
}

impl Trial {
    pub(super) async fn run(
        mistake: &Mistake,
        version: Version,
        ground: &Ground,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let style = Style::find(mistake.style).with_context(|| format!("there is no {}", mistake.style))?;
        let settings = FAULT_SETTINGS.iter().map(|&(name, value)| (name, value.to_owned())).collect();
        let options = Options { settings, partitions: Some(3), ..Options::default() };
        let mut deployment = Deployment::start(style, ground.clone(), options).await?;
        let outcome = play(&mut deployment, mistake, version, Rng::with_seed(seed)).await;
        let outcome = outcome.with_context(|| format!("the last log lines:\n{}", deployment.last_words()));
        deployment.stop().await?;
        outcome
    }

    /// Violations by invariant.
    pub(super) fn damage(&self) -> BTreeMap<String, u64> {
        let mut damage = BTreeMap::new();
        for violation in &self.violations {
            *damage.entry(violation.invariant.to_string()).or_default() += 1;
        }
        damage
    }

    /// Some of the violations in words: one of each invariant first.
    pub(super) fn examples(&self, most: usize) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let (first, rest): (Vec<_>, Vec<_>) =
            self.violations.iter().partition(|violation| seen.insert(violation.invariant.to_string()));
        first.into_iter().chain(rest).take(most).map(ToString::to_string).collect()
    }
}

async fn play(
    deployment: &mut Deployment,
    mistake: &Mistake,
    version: Version,
    mut dice: Rng,
) -> anyhow::Result<Trial> {
    let has_bookings = deployment.style.features.has_bookings;
    let load = Load::draw(&mut dice, has_bookings);
    let deaths: Vec<u64> = (0..DEATHS).map(|_| dice.u64(1..=SPARED_MAX)).collect();
    let requests = load.requests();
    let api = Api::new(deployment.gateway().clone());
    let checker = Checker::new(&deployment.addresses)?;
    let users = load::prepare(&api.clone().patient(), has_bookings).await?;
    let before = checker.at_rest(&api.acknowledged(), REST_MAX).await?;
    ensure!(before.is_empty(), "before anything has happened: {before:?}");

    for &service in mistake.made_by_others {
        replace(deployment, service, mistake.points(version, None)).await?;
        deployment.wait_ready(service).await?;
    }
    let mut deaths = deaths.into_iter();
    replace_billing(deployment, mistake.points(version, deaths.next())).await?;
    deployment.wait_ready(Service::Billing).await?;
    let mut clients = load.start(&api, &users);
    while !all_gone(&mut clients).await? {
        if deployment.ended(Service::Billing).is_some() {
            replace_billing(deployment, mistake.points(version, deaths.next())).await?;
        }
    }
    // It makes its mistake to the end, but dies no more.
    replace_billing(deployment, mistake.points(version, None)).await?;
    deployment.wait_ready(Service::Billing).await?;
    // The sound version gets all the time that it wants: it must not be found unclean because the machine is slow.
    let unchanged = if version == Version::Sound { REST_MAX } else { UNCHANGED };
    let violations = settled(&checker, &api, unchanged).await?;
    Ok(Trial { requests, violations })
}

/// Whether the last client is done; looks for a moment.
async fn all_gone(clients: &mut JoinSet<()>) -> anyhow::Result<bool> {
    tokio::select! {
        gone = clients.join_next() => {
            gone.transpose()?;
        }
        () = sleep(POLL) => {}
    }
    Ok(clients.is_empty())
}

/// Starts billing anew, with these crash points. It may get to one of them before it is ready.
async fn replace_billing(deployment: &mut Deployment, points: Option<String>) -> anyhow::Result<()> {
    replace(deployment, Service::Billing, points).await
}

async fn replace(
    deployment: &mut Deployment,
    service: Service,
    points: Option<String>,
) -> anyhow::Result<()> {
    deployment.stop_service(service).await?;
    deployment.spawn(service, points)
}

/// What is wrong once everything is at rest: as soon as all holds, or when nothing has changed for as long as `unchanged`.
async fn settled(checker: &Checker, api: &Api, unchanged: Duration) -> anyhow::Result<Vec<Violation>> {
    let began = Instant::now();
    let (mut found, mut since) = (checker.now(&api.acknowledged()).await?, began);
    while !found.is_empty() && since.elapsed() < unchanged && began.elapsed() < REST_MAX {
        sleep(POLL).await;
        let now = checker.now(&api.acknowledged()).await?;
        if now != found {
            (found, since) = (now, Instant::now());
        }
    }
    Ok(found)
}
