//! A mistake of a library's: tonic's own list of instances, one of which is dead, beside the channel of the crate `rpc`. Both make
//! the same calls at the same time. No checker is needed: a call that fails while an instance is there is the damage.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures_util::future::BoxFuture;
use lab::driving::Api;
use lab::running::{Deployment, Ground, Instances, Options};
use lab::styles::{Service, Style};
use rpc::{ChannelSettings, Method, Target};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;
use url::Url;
use web::ClientSettings;

use super::kinds::EXAMPLES;
use super::lines::{self, Cut, cut};
use crate::figures::MistakeFigures;

pub(super) const NAME: &str = "balance_list";
const STYLE: &str = "grpc";
const ABOUT: &str = "tonic's channel is given both instances of billing (`Channel::balance_list`). It looks the same until one of \
                     them dies: an instance that refuses connections counts as ready, so calls are sent to it for as long as it is \
                     dead. One of the two is killed, and both channels ask for a user, 50 times a second.";
const DAMAGE: &str = "a call fails while an instance is there";
const SOUND_LINES: &[Cut] =
    &[cut!("shared/rpc/src/client/endpoints.rs", "for place in 0..count", "State::Down(cause, _)")];

/// From one call to the next.
const EVERY: Duration = Duration::from_millis(20);
/// Calls while both instances are there, and after one was killed.
const BEFORE: usize = 50;
const AFTER: usize = 500;
/// How long a connection, and a call, may take.
const CONNECT_MAX: Duration = Duration::from_millis(250);
const CALL_MAX: Duration = Duration::from_secs(1);

/// The call: reads a user, and may be repeated.
const PATH: &str = "/billing.v1.BillingService/GetUser";
static GET_USER: Method = Method::new(PATH, true);

/// `GetUserRequest` has one field, an `int64` with the number 1. So has the message that an `i64` stands for.
type GetUserRequest = i64;
/// What the response says is not looked at.
type GetUserResponse = ();

/// Calls made, and why some of them failed.
#[derive(Default)]
struct Calls {
    made: u64,
    failed: Vec<String>,
}

/// A call by one of the channels; why it failed, in words.
type Ask<'a> = &'a dyn Fn() -> BoxFuture<'static, Result<(), String>>;

/// Kills an instance under both channels, and counts what fails.
///
/// # Errors
/// When the style does not start, or a call fails before anything has happened.
pub(super) async fn make(ground: &Ground) -> anyhow::Result<MistakeFigures> {
    eprintln!("... {NAME} in {STYLE}: both at the same time");
    let style = Style::find(STYLE).with_context(|| format!("there is no {STYLE}"))?;
    let mut deployment = Deployment::start(style, ground.clone(), Options::default()).await?;
    let user = Api::new(deployment.gateway().clone()).create_user_with(1).await?.0;
    let mut instances = Instances::two_of(Service::Billing, &mut deployment).await?;
    let urls: Vec<Url> = instances.urls().cloned().collect();
    let (sound, wrong) = (sound_channel(&urls)?, wrong_channel(&urls)?);
    let by_sound = || -> BoxFuture<'static, Result<(), String>> { Box::pin(ask_sound(sound.clone(), user)) };
    let by_wrong = || -> BoxFuture<'static, Result<(), String>> { Box::pin(ask_wrong(wrong.clone(), user)) };
    let [before_sound, before_wrong] = ask([&by_sound, &by_wrong], BEFORE).await?;
    let early: Vec<&String> = before_sound.failed.iter().chain(&before_wrong.failed).collect();
    ensure!(early.is_empty(), "before anything has happened: {early:?}");
    instances.kill(0).await?;
    let [sound, wrong] = ask([&by_sound, &by_wrong], AFTER).await?;
    instances.stop().await?;
    deployment.stop().await?;
    ensure!(sound.made == wrong.made, "the two were not asked the same");
    let told = if sound.failed.is_empty() { &wrong.failed } else { &sound.failed };
    Ok(MistakeFigures {
        mistake: NAME.to_owned(),
        style: STYLE.to_owned(),
        about: ABOUT.to_owned(),
        sound_lines: lines::of(SOUND_LINES)?,
        wrong_lines: lines::of(WRONG_LINES)?,
        requests: wrong.made,
        damage: wrong.damage(),
        examples: told.iter().take(EXAMPLES).cloned().collect(),
        damage_when_sound: sound.damage(),
    })
}

impl Calls {
    fn note(&mut self, outcome: Result<(), String>) {
        self.made += 1;
        self.failed.extend(outcome.err());
    }

    fn damage(&self) -> BTreeMap<String, u64> {
        let failed = self.failed.len() as u64;
        (failed > 0).then(|| (DAMAGE.to_owned(), failed)).into_iter().collect()
    }
}

/// So many calls by each channel, at the same times, whether or not earlier ones were answered.
async fn ask(channels: [Ask<'_>; 2], times: usize) -> anyhow::Result<[Calls; 2]> {
    let (mut asked, mut due) = (JoinSet::new(), Instant::now());
    for _ in 0..times {
        sleep_until(due).await;
        due += EVERY;
        for (which, ask) in channels.iter().enumerate() {
            let call = ask();
            asked.spawn(async move { (which, call.await) });
        }
    }
    let mut calls = [Calls::default(), Calls::default()];
    while let Some(answered) = asked.join_next().await {
        let (which, outcome) = answered?;
        calls[which].note(outcome);
    }
    Ok(calls)
}

fn sound_channel(urls: &[Url]) -> anyhow::Result<rpc::Channel> {
    let target: Target = urls.iter().map(Url::as_str).collect::<Vec<_>>().join(",").parse()?;
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let settings = ChannelSettings {
        client: ClientSettings {
            connect_timeout_ms: milliseconds(CONNECT_MAX),
            call_timeout_ms: milliseconds(CALL_MAX),
            outstanding_max: 256,
        },
        resolve_interval_ms: 1000,
        keepalive_interval_ms: 10_000,
        response_bytes_max: 1 << 20,
    };
    Ok(rpc::Client::new(settings).channel("billing", target))
}

async fn ask_sound(channel: rpc::Channel, user: GetUserRequest) -> Result<(), String> {
    let answer = channel.call::<GetUserResponse>(&GET_USER, &user).await;
    answer.map_err(|error| format!("the channel of the crate rpc: {error}"))
}

fn wrong_channel(urls: &[Url]) -> anyhow::Result<Channel> {
    let endpoint = |url: &Url| Ok(Endpoint::from_shared(url.to_string())?.connect_timeout(CONNECT_MAX));
    let endpoints: Vec<Endpoint> = urls.iter().map(endpoint).collect::<anyhow::Result<_>>()?;
    Ok(Channel::balance_list(endpoints.into_iter()))
}

/// Behind the lines that it is about: what is looked for stands here as well.
const WRONG_LINES: &[Cut] =
    &[cut!("study/src/mistakes/balancing.rs", "fn wrong_channel(", "Channel::balance_list(endpoints")];

async fn ask_wrong(channel: Channel, user: GetUserRequest) -> Result<(), String> {
    let mut client = tonic::client::Grpc::new(channel);
    let call = async {
        client.ready().await.map_err(|error| error.to_string())?;
        let codec = ProstCodec::<GetUserRequest, GetUserResponse>::default();
        let answer = client.unary(tonic::Request::new(user), PathAndQuery::from_static(PATH), codec).await;
        answer.map(drop).map_err(|status| format!("{:?}, {}", status.code(), status.message()))
    };
    let in_time =
        timeout(CALL_MAX, call).await.unwrap_or_else(|_| Err(format!("no answer within {CALL_MAX:?}")));
    in_time.map_err(|why| format!("tonic's channel: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_that_differ_are_in_the_sources_and_few() {
        for cuts in [SOUND_LINES, WRONG_LINES] {
            let text = lines::of(cuts).unwrap();
            assert!((4..40).contains(&text.lines().count()), "{text}");
        }
    }

    #[test]
    fn only_calls_that_fail_are_damage() {
        let mut calls = Calls::default();
        calls.note(Ok(()));
        assert!(calls.damage().is_empty());
        calls.note(Err("no answer".to_owned()));
        assert_eq!((calls.made, calls.damage()), (2, BTreeMap::from([(DAMAGE.to_owned(), 1)])));
    }
}
