//! Commands and replies as a stranger may send them: a participant serves whoever asks, and answers nobody whom it cannot reach.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use domain::UserId;
use lab::{Letter, eventually};
use rdkafka::Message as _;
use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Outcome, Stage, Suite, cases};
use crate::wire::{Wire, envelope, header};

const SOON: Duration = Duration::from_secs(30);
/// An order of somebody else's.
const ORDER: i64 = 1_000_000;

pub fn register(suite: &mut Suite) {
    cases!(
        suite,
        "commands",
        where |features| features.has_bookings,
        [
            a_stranger_who_sends_a_command_is_answered_where_it_says,
            a_command_that_cannot_be_answered_is_put_aside_and_not_begun,
            a_reply_about_an_order_that_nobody_made_is_put_aside,
        ]
    );
}

/// The body of a command about the stranger's order.
fn about_money(user: UserId) -> Value {
    json!({"userId": user, "orderId": ORDER, "price": {"amount": "0.60", "currency": "RUB"}})
}

fn command(kind: &str, request: Uuid, reply_to: Option<&str>) -> OwnedHeaders {
    let headers = envelope(kind, request);
    match reply_to {
        Some(topic) => headers.insert(Header { key: "ce_replyto", value: Some(topic) }),
        None => headers,
    }
}

/// The reply of type `kind` on `topic` to that request.
pub(super) async fn reply(
    wire: &Wire,
    topic: &str,
    kind: &str,
    request: Uuid,
) -> anyhow::Result<OwnedMessage> {
    let is_it = |message: &OwnedMessage| {
        header(message, "ce_type").as_deref() == Some(kind)
            && header(message, "ce_correlationid") == Some(request.to_string())
    };
    eventually(SOON, async || {
        wire.read(topic).await?.into_iter().find(is_it).with_context(|| format!("no {kind} on {topic}"))
    })
    .await
}

/// It knows nothing of sagas, and billing nothing of it. Here it listens where nobody else cares for replies.
async fn a_stranger_who_sends_a_command_is_answered_where_it_says(stage: &mut Stage) -> Outcome {
    let (user, wire) = (stage.api.create_user_with(100).await?, Wire::of(stage)?);
    let (request, key, address) = (Uuid::new_v4(), user.to_string(), wire.topic("emails"));
    for (kind, answer, left) in
        [("WithdrawMoney", "MoneyWithdrawn", 40), ("CancelWithdrawal", "WithdrawalCancelled", 100)]
    {
        let headers = command(kind, request, Some(&address));
        let id = header_of(&headers, "ce_id");
        wire.publish("billing", key.as_bytes(), headers, about_money(user).to_string().as_bytes()).await?;
        let reply = reply(&wire, "emails", answer, request).await?;
        ensure!(header(&reply, "ce_causationid") == id, "{reply:?}");
        ensure!(header(&reply, "ce_replyto").is_none(), "{reply:?}");
        let body: Value = serde_json::from_slice(reply.payload().unwrap_or_default())?;
        ensure!(body["orderId"] == ORDER && body["contact"].is_string(), "{body}");
        ensure!(stage.api.balance(user).await? == left, "{body}");
    }
    ensure!(
        !wire
            .read("order-updates")
            .await?
            .iter()
            .any(|it| header(it, "ce_correlationid") == Some(request.to_string()))
    );
    Ok(())
}

fn header_of(headers: &OwnedHeaders, name: &str) -> Option<String> {
    use rdkafka::message::Headers as _;
    let value = headers.iter().find(|header| header.key == name)?.value?;
    String::from_utf8(value.to_vec()).ok()
}

async fn a_command_that_cannot_be_answered_is_put_aside_and_not_begun(stage: &mut Stage) -> Outcome {
    let (user, wire) = (stage.api.create_user_with(100).await?, Wire::of(stage)?);
    let (nowhere, own) = (wire.topic("nowhere"), wire.topic("billing"));
    let addresses = [None, Some("order-updates"), Some(nowhere.as_str()), Some(own.as_str())];
    for reply_to in addresses {
        let headers = command("WithdrawMoney", Uuid::new_v4(), reply_to);
        let body = about_money(user).to_string();
        let place = wire.publish("billing", user.to_string().as_bytes(), headers, body.as_bytes()).await?;
        stage.api.expect_dead_letter(&place.0, place.1, place.2, Letter::Expected);
    }
    // What is behind them is done.
    ensure!(stage.api.order(user, 1, &[]).await?.status == reqwest::StatusCode::CREATED);
    stage.check_at_rest().await?;
    ensure!(stage.api.balance(user).await? == 99);
    for letter in wire.read("billing.billing.dlt").await? {
        let why = header(&letter, "dead_letter_error").unwrap_or_default();
        ensure!(why.contains("the return address"), "{why}");
    }
    Ok(())
}

async fn a_reply_about_an_order_that_nobody_made_is_put_aside(stage: &mut Stage) -> Outcome {
    let (user, wire) = (stage.api.create_user_with(100).await?, Wire::of(stage)?);
    let body = json!({"orderId": ORDER}).to_string();
    let headers = envelope("MoneyWithdrawn", Uuid::new_v4());
    let place = wire.publish("order-updates", b"1", headers, body.as_bytes()).await?;
    stage.api.expect_dead_letter(&place.0, place.1, place.2, Letter::Expected);
    ensure!(stage.api.order(user, 1, &[]).await?.status == reqwest::StatusCode::CREATED);
    stage.check_at_rest().await
}
