//! A mistake of whoever waits for replies: replicas share them as members of a group. Then a client waits to the end of its patience for
//! an order that was decided long ago. That is counted, and no checker is needed: nothing is lost but time.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use domain::UserId;
use lab::driving::{Api, Reply, eventually};
use lab::running::{Deployment, Ground, Options};
use lab::styles::{Service, Style};
use reqwest::StatusCode;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::kinds::{EXAMPLES, Version};
use super::lines::{self, Cut, cut};
use crate::figures::MistakeFigures;

/// Its gateway waits for replies, and knows of an order by these alone.
const STYLE: &str = "event-collab";
const DAMAGE: &str = "a client waits in vain: its order is decided, and it does not hear of it";
/// How long each client waits: many times as long as an order takes.
const PATIENCE: (&str, &str) = ("prefer", "wait=2");
/// How long until an order is answered at once, after a gateway has come.
const HEARD_MAX: Duration = Duration::from_secs(30);
/// Clients, each a user of its own: their replies are spread over the partitions.
const USERS: usize = 12;
/// From one order to the next while a replica joins.
const EVERY: Duration = Duration::from_millis(50);
/// Orders while it does.
const ORDERS: usize = 160;
/// After so many of them the replica is started.
const JOINS_AFTER: usize = 20;

pub(super) const NAME: &str = "replies in a group";
const ABOUT: &str = "The gateway's replicas read the replies as members of one group, so that each has a part of the partitions. It looks \
                     the same as long as there is one. When a second one joins, the replies of the partitions that it is given come \
                     to a gateway where nobody waits for them. An order is placed at the first gateway every 50 ms, and a second \
                     one is started meanwhile.";
const SWITCH: &str = "mistake::replies_in_a_group";
const SOUND_LINES: &[Cut] =
    &[cut!("shared/messaging/src/outcomes.rs", "let ends = extents(kafka", "end.high")];
const WRONG_LINES: &[Cut] =
    &[cut!("shared/messaging/src/outcomes.rs", "settings.consumer(\"gateway\")", "create_with_context")];

/// What clients saw.
#[derive(Default)]
struct Seen {
    asked: u64,
    in_vain: Vec<String>,
}

/// Has a replica join, without the mistake and with it.
///
/// # Errors
/// When the style does not start, or an order is answered in a way that says nothing about it.
pub(super) async fn make(ground: &Ground) -> anyhow::Result<MistakeFigures> {
    eprintln!("... {NAME} in {STYLE}: the sound version");
    let sound = run(ground, Version::Sound).await?;
    eprintln!("... {NAME} in {STYLE}: the mistake");
    let wrong = run(ground, Version::Wrong).await?;
    ensure!(sound.asked == wrong.asked, "the two were not asked the same");
    let told = if sound.in_vain.is_empty() { &wrong.in_vain } else { &sound.in_vain };
    Ok(MistakeFigures {
        mistake: NAME.to_owned(),
        style: STYLE.to_owned(),
        about: ABOUT.to_owned(),
        sound_lines: lines::of(SOUND_LINES)?,
        wrong_lines: lines::of(WRONG_LINES)?,
        requests: wrong.asked,
        damage: wrong.damage(),
        examples: told.iter().take(EXAMPLES).cloned().collect(),
        damage_when_sound: sound.damage(),
    })
}

async fn run(ground: &Ground, version: Version) -> anyhow::Result<Seen> {
    let points = (version == Version::Wrong).then(|| format!("{SWITCH}=return"));
    let style = Style::find(STYLE).with_context(|| format!("there is no {STYLE}"))?;
    let mut deployment = Deployment::start(style, ground.clone(), Options::default()).await?;
    let api = Api::new(deployment.gateway().clone());
    let mut users = Vec::new();
    for _ in 0..USERS {
        users.push(api.create_user_with(1_000).await?);
    }
    let seen = a_replica_joins(&mut deployment, &api, &users, points).await;
    let seen = seen.with_context(|| format!("the last log lines:\n{}", deployment.last_words()));
    deployment.stop().await?;
    seen
}

/// Orders are placed at a gateway, and a second one joins meanwhile.
async fn a_replica_joins(
    deployment: &mut Deployment,
    api: &Api,
    users: &[UserId],
    points: Option<String>,
) -> anyhow::Result<Seen> {
    deployment.stop_service(Service::Gateway).await?;
    deployment.spawn(Service::Gateway, points.clone())?;
    deployment.wait_ready(Service::Gateway).await?;
    // A member of a group has to be given its partitions first.
    for &user in users {
        eventually(HEARD_MAX, async || {
            let reply = api.order(user, 1, &[PATIENCE]).await?;
            ensure!(reply.status == StatusCode::CREATED, "answered with {}", reply.status);
            Ok(())
        })
        .await?;
    }
    let (mut orders, mut due, mut second) = (JoinSet::new(), Instant::now(), None);
    for number in 0..ORDERS {
        sleep_until(due).await;
        due += EVERY;
        if number == JOINS_AFTER {
            let address = ([127, 0, 0, 1], sandbox::free_port()?).into();
            second = Some(deployment.launch_instance(Service::Gateway, address, points.clone())?);
        }
        let (api, user) = (api.clone(), users[number % users.len()]);
        orders.spawn(async move { place(&api, user).await });
    }
    let mut seen = Seen::default();
    while let Some(placed) = orders.join_next().await {
        seen.asked += 1;
        seen.in_vain.extend(placed??);
    }
    second.context("nobody has joined")?.stop().await?;
    Ok(seen)
}

/// Places an order. `Some`: its client waited in vain, in words.
async fn place(api: &Api, user: UserId) -> anyhow::Result<Option<String>> {
    let Reply { status, body, elapsed, .. } = api.order(user, 1, &[PATIENCE]).await?;
    match status {
        StatusCode::CREATED => Ok(None),
        StatusCode::ACCEPTED => {
            let request = body["requestId"].as_str().context("202 without a request")?;
            let known = api.get(&format!("orders/requests/{request}")).await?;
            let decided = known.status == StatusCode::OK;
            Ok(decided.then(|| {
                format!("user {user} waited for {elapsed:.1?}, and the order is {}", known.body["status"])
            }))
        }
        _ => anyhow::bail!("an order is answered with {status} {body}"),
    }
}

impl Seen {
    fn damage(&self) -> BTreeMap<String, u64> {
        let in_vain = self.in_vain.len() as u64;
        (in_vain > 0).then(|| (DAMAGE.to_owned(), in_vain)).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_that_differ_are_in_the_sources_and_few() {
        for cuts in [SOUND_LINES, WRONG_LINES] {
            let text = lines::of(cuts).unwrap();
            assert!((2..40).contains(&text.lines().count()), "{text}");
        }
    }

    #[test]
    fn only_clients_that_wait_in_vain_are_damage() {
        assert!(Seen { asked: 3, in_vain: Vec::new() }.damage().is_empty());
        let seen = Seen { asked: 3, in_vain: vec!["waited".to_owned()] };
        assert_eq!(seen.damage(), BTreeMap::from([(DAMAGE.to_owned(), 1)]));
    }
}
