//! What may happen to messages on their way: brokers that go away, messages that come twice, late, mixed up, or spoilt, and
//! consumers that change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use lab::{Letter, Service, eventually};
use rdkafka::message::OwnedHeaders;
use reqwest::StatusCode;
use sandbox::Kafka;
use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::harness::{Outcome, Stage, Suite, cases};
use crate::wire::{Wire, envelope, header, replace_header};

/// How long it may take until business is as usual.
const SOON: Duration = Duration::from_secs(30);
pub fn register(suite: &mut Suite) {
    suite.on_own_broker(
        "messages",
        "a_broker_that_goes_away_and_comes_back_loses_nothing",
        a_broker_that_goes_away_and_comes_back_loses_nothing,
    );
    cases!(
        suite,
        "messages",
        where |features| features.requests_are_messages,
        [the_orders_of_one_user_keep_their_order_whatever_others_do]
    );
    cases!(
        suite,
        "messages",
        where lab::styles::Features::has_messages,
        [
            a_message_that_comes_twice_has_one_effect,
            a_request_that_comes_again_under_another_id_has_one_effect,
            what_cannot_be_read_is_put_aside_and_its_neighbours_are_not_harmed,
            a_type_that_nobody_knows_is_skipped_and_counted,
            two_replicas_of_everything_work_side_by_side_and_one_of_each_may_die,
            partitions_that_change_hands_in_the_middle_of_a_batch_lose_nothing,
        ]
    );
}

async fn a_broker_that_goes_away_and_comes_back_loses_nothing(stage: &mut Stage, kafka: &Kafka) -> Outcome {
    let user = stage.api.create_user_with(1_000).await?;
    let first = stage.api.order(user, 1, &[("idempotency-key", "0")]).await?;
    ensure!(first.status == StatusCode::CREATED, "{first:?}");
    // Some are on their way.
    for _ in 0..5 {
        let reply = stage.api.order(user, 10, &[("prefer", "respond-async")]).await?;
        ensure!(reply.status == StatusCode::ACCEPTED, "{reply:?}");
    }
    kafka.down().await?;
    for key in ["1", "2"] {
        let headers = [("idempotency-key", key), ("prefer", "wait=5")];
        let reply = stage.api.order(user, 100, &headers).await?;
        ensure!(reply.header("retry-after").is_some(), "{reply:?}");
        if stage.style.features.requests_are_messages {
            ensure!(reply.status == StatusCode::SERVICE_UNAVAILABLE, "{reply:?}");
            ensure!(reply.body["idempotencyKey"] == key, "{reply:?}");
        } else {
            // The order is stored, and waits with its first message.
            ensure!(reply.status == StatusCode::ACCEPTED, "{reply:?}");
        }
    }
    // Reading needs no broker.
    let read = stage.api.get(&format!("/orders/{}", first.body["orderId"])).await?;
    ensure!(read.status == StatusCode::OK && stage.api.balance(user).await? <= 999, "{read:?}");
    kafka.up().await?;
    for key in ["1", "2"] {
        eventually(SOON, async || {
            let reply = stage.api.order(user, 100, &[("idempotency-key", key)]).await?;
            ensure!(reply.status == StatusCode::CREATED, "{reply:?}");
            Ok(())
        })
        .await?;
    }
    stage.check_at_rest().await?;
    ensure!(stage.api.balance(user).await? == 749);
    Ok(())
}

/// The topics of a style.
fn topics(stage: &Stage) -> Vec<&'static str> {
    let topology = (stage.style.topology)();
    [topology.kept, topology.passing].concat()
}

/// A user, deposits, a paid order and a refused one, at rest.
async fn some_traffic(stage: &Stage) -> anyhow::Result<domain::UserId> {
    let user = stage.api.create_user_with(100).await?;
    ensure!(stage.api.order(user, 60, &[]).await?.status == StatusCode::CREATED);
    ensure!(stage.api.order(user, 60, &[]).await?.status == StatusCode::PRECONDITION_FAILED);
    stage.check_at_rest().await?;
    Ok(user)
}

async fn a_message_that_comes_twice_has_one_effect(stage: &mut Stage) -> Outcome {
    let (user, wire) = (some_traffic(stage).await?, Wire::of(stage)?);
    for topic in topics(stage) {
        for message in wire.read(topic).await? {
            wire.publish_again(&message, None).await?;
        }
    }
    // Among others, which go on.
    ensure!(stage.api.order(user, 40, &[]).await?.status == StatusCode::CREATED);
    stage.check_at_rest().await?;
    ensure!(stage.api.balance(user).await? == 0);
    for service in [Service::Order, Service::Billing, Service::Notification] {
        let metrics = stage.metrics(service).await?;
        ensure!(
            metrics.contains("messaging_duplicates_skipped_total"),
            "{service:?} skipped nothing:\n{metrics}"
        );
    }
    Ok(())
}

async fn a_request_that_comes_again_under_another_id_has_one_effect(stage: &mut Stage) -> Outcome {
    let (user, wire) = (some_traffic(stage).await?, Wire::of(stage)?);
    for topic in topics(stage) {
        for message in wire.read(topic).await? {
            wire.publish_again(&message, Some(Uuid::now_v7())).await?;
        }
    }
    stage.check_at_rest().await?;
    ensure!(stage.api.balance(user).await? == 40 && stage.api.emails(user).await?.len() == 2);
    Ok(())
}

async fn the_orders_of_one_user_keep_their_order_whatever_others_do(stage: &mut Stage) -> Outcome {
    let wire = Wire::of(stage)?;
    let mut users = Vec::new();
    for _ in 0..6 {
        users.push(stage.api.create_user_with(100).await?);
    }
    // Each user's are affordable in this order only; those of different users take turns at random.
    let mut waiting: Vec<(domain::UserId, Vec<i64>)> =
        users.iter().map(|user| (*user, vec![50, 30, 60])).collect();
    while !waiting.is_empty() {
        let turn = fastrand::usize(..waiting.len());
        let (user, prices) = &mut waiting[turn];
        let price = prices.pop().context("a user who still waits has an order")?;
        let body = json!({"userId": *user, "price": {"amount": format!("0.{price:02}"), "currency": "RUB"}});
        let headers = envelope("OrderCreationRequested", Uuid::now_v7());
        wire.publish("orders", user.to_string().as_bytes(), headers, body.to_string().as_bytes()).await?;
        waiting.retain(|(_, prices)| !prices.is_empty());
    }
    stage.check_at_rest().await?;
    for user in users {
        let orders = stage.api.get(&format!("/orders?userId={user}")).await?;
        let orders = orders.body.as_array().context("a page")?.clone();
        let ended: Vec<_> = orders.iter().map(|it| (it["price"].clone(), it["status"].clone())).collect();
        let expected =
            [(json!(60), json!("paid")), (json!(30), json!("paid")), (json!(50), json!("rejected"))];
        ensure!(ended == expected, "user {user}: {ended:?}");
    }
    Ok(())
}

/// A message that cannot be handled: what is wrong with it, its headers, its body, and whether all that read the topic see
/// that, or only those that the type concerns.
type Spoilt = (&'static str, OwnedHeaders, &'static [u8], bool);

fn spoilt(kind: &str) -> Vec<Spoilt> {
    let sound = envelope(kind, Uuid::now_v7());
    vec![
        ("malformed", sound.clone(), b"{", false),
        ("truncated", sound.clone(), br#"{"userId": 1, "pri"#, false),
        ("empty", sound.clone(), b"", false),
        ("of another schema", sound.clone(), br#"{"userId": "one"}"#, false),
        ("an array", sound.clone(), br#"[1, ["0.01", "RUB"]]"#, false),
        ("typeless", replace_header(&sound, "ce_type", None), b"{}", true),
        ("without headers", OwnedHeaders::new(), b"{}", true),
    ]
}

async fn what_cannot_be_read_is_put_aside_and_its_neighbours_are_not_harmed(stage: &mut Stage) -> Outcome {
    let (user, wire) = (stage.api.create_user_with(1_000).await?, Wire::of(stage)?);
    // On each topic a type that one consumer handles.
    let requests: &[_] = if stage.style.features.requests_are_messages {
        &[
            ("users", "UserCreationRequested", "billing"),
            ("billing", "DepositRequested", "billing"),
            ("orders", "OrderCreationRequested", "order"),
        ]
    } else {
        &[
            ("billing", "WithdrawMoney", "billing"),
            ("emails", "SendEmail", "notification"),
            ("order-updates", "MoneyWithdrawn", "order"),
            ("tickets", "ReserveTicket", "ticket"),
        ]
    };
    let mut neighbours = JoinSet::new();
    let mut expected = Vec::new();
    for &(topic, kind, concerned) in requests {
        for (what, headers, body, by_all) in spoilt(kind) {
            let api = stage.api.clone();
            neighbours.spawn(async move { api.order(user, 1, &[("prefer", "wait=20")]).await });
            let place = wire.publish(topic, user.to_string().as_bytes(), headers, body).await?;
            stage.api.expect_dead_letter(&place.0, place.1, place.2, Letter::Expected);
            for (consumer, topics) in (stage.style.topology)().consumers {
                if topics.contains(&topic) && (by_all || consumer == concerned) {
                    expected.push((format!("{topic}.{consumer}.dlt"), what, place.clone()));
                }
            }
        }
    }
    let orders = neighbours.len();
    while let Some(reply) = neighbours.join_next().await.transpose()? {
        let reply = reply?;
        ensure!(reply.status == StatusCode::CREATED, "{reply:?}");
    }
    stage.check_at_rest().await?;
    ensure!(stage.api.balance(user).await? == 1_000 - i64::try_from(orders)?);
    for (topic, what, place) in expected {
        let letters = wire.read(&topic).await?;
        let text = |name: &str, letter| header(letter, name).unwrap_or_default();
        let found = letters.iter().any(|letter| {
            text("dead_letter_topic", letter) == place.0
                && text("dead_letter_partition", letter) == place.1.to_string()
                && text("dead_letter_offset", letter) == place.2.to_string()
                && !text("dead_letter_error", letter).is_empty()
        });
        ensure!(found, "{topic} lacks the message {what} from {place:?}");
    }
    Ok(())
}

async fn a_type_that_nobody_knows_is_skipped_and_counted(stage: &mut Stage) -> Outcome {
    let wire = Wire::of(stage)?;
    for topic in topics(stage) {
        wire.publish(topic, b"1", envelope("OrderShipped", Uuid::now_v7()), b"{}").await?;
    }
    stage.check_at_rest().await?;
    for (consumer, topics) in (stage.style.topology)().consumers {
        // Some consumers have a name of their own beside the service's.
        let Some(service) = Service::named(consumer) else { continue };
        let topic = topics[0];
        let metrics = stage.metrics(service).await?;
        let counted = metrics.lines().any(|line| {
            line.starts_with("messaging_unknown_types_total") && line.contains(&wire.topic(topic))
        });
        ensure!(counted, "{service:?} has not counted it on {topic}:\n{metrics}");
    }
    Ok(())
}

async fn two_replicas_of_everything_work_side_by_side_and_one_of_each_may_die(stage: &mut Stage) -> Outcome {
    let mut gateways = vec![stage.api.clone()];
    for &service in stage.style.services {
        let url = stage.deployment.start_replica(service).await?;
        if service == Service::Gateway {
            gateways.push(stage.api.at(url));
        }
    }
    let mut users = Vec::new();
    for _ in 0..4 {
        users.push(stage.api.create_user_with(100).await?);
    }
    let place = async |round: &str| {
        let mut clients = JoinSet::new();
        for (number, &user) in users.iter().cycle().take(16).enumerate() {
            // The same request through both gateways at once: one order.
            for api in gateways.clone() {
                let key = format!("{round}-{number}");
                clients.spawn(async move {
                    let headers = [("idempotency-key", key.as_str()), ("prefer", "wait=20")];
                    (key.clone(), api.order(user, 5, &headers).await)
                });
            }
        }
        let mut orders = std::collections::BTreeMap::new();
        while let Some(answered) = clients.join_next().await.transpose()? {
            let (key, reply) = (answered.0, answered.1?);
            ensure!(reply.status == StatusCode::CREATED, "{reply:?}");
            let first = orders.entry(key).or_insert_with(|| reply.body.clone());
            ensure!(*first == reply.body, "{first} and {reply:?}");
        }
        Ok(orders.len())
    };
    ensure!(place("both").await? == 16);
    // The consumers' partitions go to the survivors. Who asks by HTTP asks at one address here, which has to be there.
    let asks = stage.style.features.cost_of_a_paid_order.http_requests > 0;
    for service in [Service::Order, Service::Billing, Service::Notification] {
        stage.deployment.kill(service).await?;
        if asks {
            stage.deployment.start_service(service).await?;
        }
    }
    ensure!(place("survivors").await? == 16);
    if !asks {
        for service in [Service::Order, Service::Billing, Service::Notification] {
            stage.deployment.start_service(service).await?;
        }
    }
    stage.check_at_rest().await?;
    for user in users {
        ensure!(stage.api.balance(user).await? == 60);
    }
    Ok(())
}

async fn partitions_that_change_hands_in_the_middle_of_a_batch_lose_nothing(stage: &mut Stage) -> Outcome {
    let mut users = Vec::new();
    for _ in 0..4 {
        users.push(stage.api.create_user_with(10_000).await?);
    }
    stage.check_at_rest().await?;
    stage.deployment.arm(Service::Billing, "messaging::gathered", "3*sleep(700)").await?;
    let enough = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for user in users {
        let (api, enough) = (stage.api.clone(), Arc::clone(&enough));
        clients.spawn(async move {
            let mut spent = 0;
            while !enough.load(Ordering::Relaxed) {
                let reply = api.order(user, 1, &[("prefer", "wait=20")]).await?;
                ensure!(reply.status == StatusCode::CREATED, "{reply:?}");
                spent += 1;
            }
            ensure!(api.balance(user).await? == 10_000 - spent);
            Ok(())
        });
    }
    let second = stage.deployment.start_replica(Service::Billing).await?.join("metrics")?;
    let handles = eventually(SOON, async || {
        let metrics = reqwest::get(second.clone()).await?.text().await?;
        ensure!(metrics.contains("messaging_consumed_total{"), "the second billing gets no messages");
        Ok(())
    })
    .await;
    enough.store(true, Ordering::Relaxed);
    while let Some(done) = clients.join_next().await.transpose()? {
        done?;
    }
    handles?;
    stage.check_at_rest().await
}
