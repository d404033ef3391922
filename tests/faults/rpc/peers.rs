//! Peers that misbehave, at every step of the flow: clients are told 503 or 202 in time, what was done counts once, and nothing is left
//! half-done.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use domain::UserId;
use h2::Reason;
use lab::styles::Features;
use lab::{Api, Reply, Service, eventually};
use reqwest::StatusCode;
use serde_json::json;
use uuid::Uuid;

use super::impostor::{How, Impostor, Spoils};
use crate::harness::{Outcome, Stage, Suite, cases};

const SOON: Duration = Duration::from_secs(30);
/// When clients have to be answered, whose requests may take 3 s at the most: with what a loaded machine takes besides.
const IN_TIME: Duration = Duration::from_secs(7);
/// What users have, what an order costs, and what they pay in.
const FUNDS: i64 = 100;
const PRICE: i64 = 60;
const DEPOSIT: i64 = 7;

pub fn register(suite: &mut Suite) {
    cases!(
        suite,
        "peers",
        where Features::has_rpcs,
        [
            a_peer_that_stops_reading_or_speaking_holds_up_nobody_past_the_deadline,
            a_peer_that_resets_streams_is_asked_again,
            a_peer_that_answers_with_a_wrong_message_is_not_believed,
            a_peer_that_goes_away_in_the_middle_leaves_nothing_half_done,
            a_call_that_is_spoilt_once_is_made_again,
            a_call_that_is_delivered_twice_counts_once,
        ]
    );
}

async fn a_peer_that_stops_reading_or_speaking_holds_up_nobody_past_the_deadline(
    stage: &mut Stage,
) -> Outcome {
    at_every_step(
        stage,
        &[
            (false, How::ReadsNothing),
            (true, How::ReadsNothing),
            (false, How::TakesNoBytes),
            (true, How::FallsSilent),
        ],
    )
    .await
}

async fn a_peer_that_resets_streams_is_asked_again(stage: &mut Stage) -> Outcome {
    at_every_step(
        stage,
        &[
            (false, How::Resets(Reason::INTERNAL_ERROR)),
            (true, How::Resets(Reason::CANCEL)),
            // It promises that nothing was done.
            (false, How::Resets(Reason::REFUSED_STREAM)),
            (true, How::ResetsInTheMiddle),
        ],
    )
    .await
}

async fn a_peer_that_answers_with_a_wrong_message_is_not_believed(stage: &mut Stage) -> Outcome {
    at_every_step(
        stage,
        &[
            (true, How::AnswersNonsense),
            (true, How::AnswersAnotherMessage),
            (true, How::AnswersTooMuch),
            (true, How::AnswersWithoutAStatus),
            (false, How::AnswersAsAProxy),
        ],
    )
    .await
}

async fn a_peer_that_goes_away_in_the_middle_leaves_nothing_half_done(stage: &mut Stage) -> Outcome {
    at_every_step(
        stage,
        &[(false, How::SaysGoodbye), (true, How::SaysGoodbye), (true, How::ClosesInTheMiddle)],
    )
    .await
}

/// Whatever went wrong with it, the next try is answered, and its client sees no difference.
async fn a_call_that_is_spoilt_once_is_made_again(stage: &mut Stage) -> Outcome {
    let scene = Scene::set(stage).await?;
    for how in [How::Resets(Reason::CANCEL), How::ReadsNothing, How::SaysGoodbye, How::ClosesInTheMiddle] {
        for (peer, method) in
            [(&scene.billing, "GetUser"), (&scene.billing, "Withdraw"), (&scene.notification, "SendEmail")]
        {
            let user = scene.api.create_user_with(FUNDS).await?;
            let before = peer.spoilt();
            peer.now_once(Spoils { method, heard: true, how }).await?;
            let reply = scene.api.order(user, PRICE, &[]).await?;
            let what = format!("{method}, {how:?}: {reply:?}");
            ensure!(peer.spoilt() == before + 1, "not spoilt once: {what}");
            ensure!(reply.status == StatusCode::CREATED, "{what}");
            scene.heal().await?;
            ensure!(scene.api.balance(user).await? == FUNDS - PRICE, "{what}");
        }
    }
    Ok(())
}

async fn a_call_that_is_delivered_twice_counts_once(stage: &mut Stage) -> Outcome {
    let scene = Scene::set(stage).await?;
    for step in STEPS.iter().filter(|step| step.ask.has_key()) {
        let (user, key) = (scene.api.create_user_with(FUNDS).await?, Uuid::new_v4().to_string());
        let (impostor, method) = (scene.impostor(step.peer), step.method);
        let before = impostor.spoilt();
        impostor.now(Some(Spoils { method, heard: true, how: How::DeliversTwice })).await?;
        let reply = scene.ask(step.ask, user, &key, "wait=30").await?;
        ensure!(impostor.spoilt() > before, "{method} was not delivered twice: {reply:?}");
        ensure!(reply.status == step.hears_again, "{method}: {reply:?}");
        impostor.now(None).await?;
        ensure!(scene.api.balance(user).await? == step.balance, "{method}: {reply:?}");
    }
    Ok(())
}

/// Spoils each step in each of these ways, with the service having done before what it was asked for or not.
async fn at_every_step(stage: &mut Stage, ways: &[(bool, How)]) -> Outcome {
    let scene = Scene::set(stage).await?;
    for &(heard, how) in ways {
        for step in STEPS.iter().filter(|step| step.can_be_spoilt(how)) {
            let tried = scene.spoil(step, heard, how).await;
            tried.with_context(|| format!("{} that {how:?}, heard: {heard}", step.method))?;
        }
    }
    Ok(())
}

/// A call between two services, whom it may concern, and what has to come of it.
struct Step {
    peer: Service,
    method: &'static str,
    /// What a client asks for.
    ask: Ask,
    /// What it hears, in time.
    hears: StatusCode,
    /// What it hears once its peer is sound, when it asks again under the same key.
    hears_again: StatusCode,
    /// What it has then, of [`FUNDS`].
    balance: i64,
}

impl Step {
    /// Where nobody is asked before it on the same connection, which takes no bytes of others either.
    fn can_be_spoilt(&self, how: How) -> bool {
        how != How::TakesNoBytes || self.method != "Withdraw"
    }
}

#[derive(Clone, Copy)]
enum Ask {
    Order,
    Deposit,
    Profile,
}

impl Ask {
    /// Whether its answer can be asked for again.
    fn has_key(self) -> bool {
        !matches!(self, Self::Profile)
    }
}

const STEPS: &[Step] = &[
    Step {
        peer: Service::Billing,
        method: "GetUser",
        ask: Ask::Order,
        hears: StatusCode::SERVICE_UNAVAILABLE,
        hears_again: StatusCode::CREATED,
        balance: FUNDS - PRICE,
    },
    Step {
        peer: Service::Billing,
        method: "Withdraw",
        ask: Ask::Order,
        hears: StatusCode::ACCEPTED,
        hears_again: StatusCode::CREATED,
        balance: FUNDS - PRICE,
    },
    Step {
        peer: Service::Notification,
        method: "SendEmail",
        ask: Ask::Order,
        hears: StatusCode::CREATED,
        hears_again: StatusCode::CREATED,
        balance: FUNDS - PRICE,
    },
    Step {
        peer: Service::Order,
        method: "CreateOrder",
        ask: Ask::Order,
        hears: StatusCode::SERVICE_UNAVAILABLE,
        hears_again: StatusCode::CREATED,
        balance: FUNDS - PRICE,
    },
    Step {
        peer: Service::Billing,
        method: "Deposit",
        ask: Ask::Deposit,
        hears: StatusCode::SERVICE_UNAVAILABLE,
        hears_again: StatusCode::OK,
        balance: FUNDS + DEPOSIT,
    },
    // The one call that is never made again by itself.
    Step {
        peer: Service::Billing,
        method: "UpdateProfile",
        ask: Ask::Profile,
        hears: StatusCode::SERVICE_UNAVAILABLE,
        hears_again: StatusCode::OK,
        balance: FUNDS,
    },
];

/// A stage on which an impostor stands in front of every service that is called by gRPC.
struct Scene {
    api: Api,
    /// Somebody who is never in the way of others.
    rich: UserId,
    billing: Impostor,
    order: Impostor,
    notification: Impostor,
}

impl Scene {
    async fn set(stage: &mut Stage) -> anyhow::Result<Self> {
        let deployment = &stage.deployment;
        let before = |service, callers| Impostor::before(deployment.listens_at(service), callers);
        // The gateway calls all of them, and the order service two.
        let billing = before(Service::Billing, 2).await?;
        let order = before(Service::Order, 1).await?;
        let notification = before(Service::Notification, 2).await?;
        let impostors =
            [(Service::Billing, &billing), (Service::Order, &order), (Service::Notification, &notification)];
        for (service, impostor) in impostors {
            stage.deployment.lead_to(service, &[impostor.address]);
        }
        for caller in [Service::Order, Service::Gateway] {
            stage.deployment.stop_service(caller).await?;
            stage.deployment.start_service(caller).await?;
        }
        let rich = stage.api.create_user_with(1_000_000).await?;
        Ok(Self { api: stage.api.clone(), rich, billing, order, notification })
    }

    fn impostor(&self, peer: Service) -> &Impostor {
        match peer {
            Service::Billing => &self.billing,
            Service::Order => &self.order,
            _ => &self.notification,
        }
    }

    async fn spoil(&self, step: &Step, heard: bool, how: How) -> Outcome {
        let user = self.api.create_user_with(FUNDS).await?;
        let impostor = self.impostor(step.peer);
        let (key, before) = (Uuid::new_v4().to_string(), impostor.spoilt());
        impostor.now(Some(Spoils { method: step.method, heard, how })).await?;
        let reply = self.ask(step.ask, user, &key, "wait=1").await?;
        ensure!(impostor.spoilt() > before, "no call was spoilt: {reply:?}");
        ensure!(reply.status == step.hears, "{reply:?}");
        ensure!(reply.elapsed < IN_TIME, "too late: {reply:?}");
        if reply.status == StatusCode::SERVICE_UNAVAILABLE {
            clear_refusal(&reply, step.ask.has_key().then_some(&key))?;
        }
        self.heal().await?;
        match step.method {
            "GetUser" => {
                let orders = self.api.list(&format!("orders?userId={user}")).await?;
                ensure!(orders.is_empty(), "nothing was to be done: {orders:?}");
            }
            "UpdateProfile" => {
                let user = self.api.get(&format!("billing/user/{user}")).await?;
                ensure!(user.body["version"] == 1 + u64::from(heard), "done twice, or not at all: {user:?}");
            }
            _ => {}
        }
        let again = self.ask(step.ask, user, &key, "wait=30").await?;
        ensure!(again.status == step.hears_again, "{reply:?}, and then {again:?}");
        let balance = self.api.balance(user).await?;
        ensure!(balance == step.balance, "a balance of {balance} after {reply:?} and {again:?}");
        Ok(())
    }

    async fn ask(&self, ask: Ask, user: UserId, key: &str, prefer: &str) -> anyhow::Result<Reply> {
        // A client that says how long it waits is told what there is to tell, and does not ask again by itself.
        let headers = [("prefer", prefer), ("idempotency-key", key)];
        match ask {
            Ask::Order => self.api.order(user, PRICE, &headers).await,
            Ask::Deposit => {
                let path = format!("billing/deposit/{user}");
                self.api.post(&path, &headers, &json!({"amount": DEPOSIT})).await
            }
            Ask::Profile => {
                let profile = json!({"email": format!("moved-{user}@example.org")});
                self.api.update_profile(user, &profile, &headers).await
            }
        }
    }

    /// Everything is passed on again, and soon everybody believes it.
    async fn heal(&self) -> Outcome {
        for impostor in [&self.billing, &self.order, &self.notification] {
            impostor.now(None).await?;
        }
        eventually(SOON, async || {
            let reply = self.api.order(self.rich, 1, &[("prefer", "wait=5")]).await?;
            ensure!(reply.status == StatusCode::CREATED, "{reply:?}");
            Ok(())
        })
        .await?;
        // The gateway has a breaker of its own.
        eventually(SOON, async || self.api.balance(self.rich).await.map(drop)).await
    }
}

fn clear_refusal(reply: &Reply, key: Option<&String>) -> Outcome {
    ensure!(reply.code() == Some("unavailable") && reply.header("retry-after").is_some(), "{reply:?}");
    let named = reply.body["idempotencyKey"].as_str();
    ensure!(named == key.map(String::as_str), "how to ask again is not said: {reply:?}");
    Ok(())
}
