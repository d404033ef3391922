//! A mistake that loses no money: a gRPC client that gives every try the whole deadline. It takes two instances to see it, of which one
//! takes long.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use domain::UserId;
use lab::checking::Checker;
use lab::driving::{Api, Reply};
use lab::running::{Deployment, Ground, Options, ServiceProcess, wait_ready};
use lab::styles::{Service, Style};
use reqwest::StatusCode;
use sandbox::free_port;
use tokio::task::JoinSet;

use super::kinds::{EXAMPLES, Version};
use super::lines::{Cut, cut, of};
use crate::figures::MistakeFigures;

const NAME: &str = "whole deadline";
const STYLE: &str = "grpc";
const ABOUT: &str = "A call that gets no answer is made again, on another instance. If every try may take all the time that is left, \
                     there is none for a second one. It looks the same until an instance takes long: then its clients wait in vain, \
                     and the instance beside it is idle. One of two instances of billing takes 15 s for a withdrawal.";
/// What happens to clients who could have been served.
const DAMAGE: &str = "orders without an outcome in time";
/// Orders, all at the same time, so that each instance is asked about some of them; what users have; how long clients wait: longer
/// than two tries take.
const ORDERS: u64 = 12;
const FUNDS: i64 = 1_000;
const PATIENCE: [(&str, &str); 1] = [("prefer", "wait=4")];
const SETTINGS: [(&str, &str); 2] = [
    // Recovery does not come before the clients have been told.
    ("RECOVERY_AFTER_MS", "10000"),
    // A crash point that sleeps holds a thread, and others have to go on.
    ("TOKIO_WORKER_THREADS", "32"),
];
const TAKES_LONG: &str = "billing::withdrawal_received=sleep(15000)";
const READY_MAX: Duration = Duration::from_secs(30);
const REST_MAX: Duration = Duration::from_mins(1);

const SOUND_LINES: &[Cut] = &[cut!("shared/web/src/guard.rs", "let limit = ", "self.guarded(limit")];
const WRONG_LINES: &[Cut] = &[cut!("shared/rpc/src/mistake.rs", "\"mistake::whole_deadline\"", "}")];

/// Makes it on `ground`, and does the same without it.
pub(super) async fn figures(ground: &Ground) -> anyhow::Result<MistakeFigures> {
    eprintln!("... {NAME} in {STYLE}: the sound version");
    let sound = heard(ground, Version::Sound).await?;
    eprintln!("... {NAME} in {STYLE}: the mistake");
    let wrong = heard(ground, Version::Wrong).await?;
    Ok(MistakeFigures {
        mistake: NAME.to_owned(),
        style: STYLE.to_owned(),
        about: ABOUT.to_owned(),
        sound_lines: of(SOUND_LINES)?,
        wrong_lines: of(WRONG_LINES)?,
        requests: ORDERS,
        damage: damage(&wrong),
        examples: examples(if damage(&sound).is_empty() { &wrong } else { &sound }),
        damage_when_sound: damage(&sound),
    })
}

fn without_outcome(heard: &[Reply]) -> impl Iterator<Item = &Reply> {
    heard.iter().filter(|reply| reply.status != StatusCode::CREATED)
}

fn damage(heard: &[Reply]) -> BTreeMap<String, u64> {
    let count = without_outcome(heard).count() as u64;
    BTreeMap::from_iter((count > 0).then(|| (DAMAGE.to_owned(), count)))
}

fn examples(heard: &[Reply]) -> Vec<String> {
    let told = |reply: &Reply| {
        format!("an order was answered with {} after {:.1} s", reply.status, reply.elapsed.as_secs_f64())
    };
    without_outcome(heard).take(EXAMPLES).map(told).collect()
}

/// What clients hear in a version.
async fn heard(ground: &Ground, version: Version) -> anyhow::Result<Vec<Reply>> {
    let style = Style::find(STYLE).with_context(|| format!("there is no {STYLE}"))?;
    let settings = SETTINGS.iter().map(|&(name, value)| (name, value.to_owned())).collect();
    let mut deployment =
        Deployment::start(style, ground.clone(), Options { settings, ..Options::default() }).await?;
    let heard = play(&mut deployment, version).await;
    let heard = heard.with_context(|| format!("the last log lines:\n{}", deployment.last_words()));
    deployment.stop().await?;
    heard
}

async fn play(deployment: &mut Deployment, version: Version) -> anyhow::Result<Vec<Reply>> {
    let mut slow = beside_the_sound_one(deployment).await?;
    let mistake = (version == Version::Wrong).then(|| "mistake::whole_deadline=return".to_owned());
    deployment.stop_service(Service::Order).await?;
    deployment.spawn(Service::Order, mistake)?;
    deployment.wait_ready(Service::Order).await?;
    let api = Api::new(deployment.gateway().clone());
    let user = api.clone().patient().create_user_with(FUNDS).await?;
    let heard = order(&api, user).await?;
    slow.kill().await?;
    let found = Checker::new(&deployment.addresses)?.at_rest(&api.acknowledged(), REST_MAX).await?;
    ensure!(found.is_empty(), "no money is lost by it: {found:?}");
    Ok(heard)
}

/// Starts a second instance of billing, and leads whoever is started from now on to both.
async fn beside_the_sound_one(deployment: &mut Deployment) -> anyhow::Result<ServiceProcess> {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let mut slow = deployment.launch_instance(Service::Billing, address, Some(TAKES_LONG.to_owned()))?;
    wait_ready(&format!("http://{address}/").parse()?, READY_MAX, || {
        ensure!(slow.ended().is_none(), "{}", slow.last_words());
        Ok(())
    })
    .await?;
    deployment.lead_to(Service::Billing, &[address, deployment.listens_at(Service::Billing)]);
    Ok(slow)
}

async fn order(api: &Api, user: UserId) -> anyhow::Result<Vec<Reply>> {
    let mut clients = JoinSet::new();
    for _ in 0..ORDERS {
        let api = api.clone();
        clients.spawn(async move { api.order(user, 1, &PATIENCE).await });
    }
    clients.join_all().await.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_in_the_sources_and_few() {
        for cuts in [SOUND_LINES, WRONG_LINES] {
            let text = of(cuts).unwrap();
            assert!((2..40).contains(&text.lines().count()), "{text}");
        }
    }
}
