//! Events of producers that are none of ours: valid `CloudEvents`, though not as our services write them.

use anyhow::{Context as _, ensure};
use lab::eventually;
use rdkafka::Message as _;
use rdkafka::message::{Header, OwnedHeaders};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

use crate::harness::{Outcome, Stage, Suite, cases};
use crate::wire::{Wire, header};

/// How long it may take until an order is answered.
const SOON: Duration = Duration::from_secs(30);

pub fn register(suite: &mut Suite) {
    cases!(
        suite,
        "foreign",
        where |features| features.requests_are_messages,
        [an_order_is_taken_from_any_producer_in_either_mode_and_only_once]
    );
}

/// An order as an event without a time, and with an id that is no UUID.
fn order(user: domain::UserId, id: &str) -> Value {
    json!({
        "specversion": "1.0",
        "id": id,
        "source": "https://shop.example.org/carts",
        "type": "OrderCreationRequested",
        "correlationid": Uuid::new_v4(),
        "data": {"userId": user, "price": {"amount": "0.10", "currency": "RUB"}}
    })
}

/// Its attributes as headers, with names in capitals; beside `content_type`.
fn headers(event: &Value, content_type: &str) -> OwnedHeaders {
    let attributes = event.as_object().into_iter().flatten().filter(|(name, _)| *name != "data");
    let content_type = Header { key: "Content-Type", value: Some(content_type) };
    attributes.fold(OwnedHeaders::new().insert(content_type), |headers, (name, value)| {
        headers.insert(Header { key: &format!("CE_{}", name.to_uppercase()), value: value.as_str() })
    })
}

async fn an_order_is_taken_from_any_producer_in_either_mode_and_only_once(stage: &mut Stage) -> Outcome {
    let (user, wire) = (stage.api.create_user_with(100).await?, Wire::of(stage)?);
    let [parts, whole, both] = ["cart 1", "cart 2", "cart 3"].map(|id| order(user, id));
    let structured = "application/cloudevents+json; charset=UTF-8";
    let bare = OwnedHeaders::new().insert(Header { key: "content-type", value: Some(structured) });
    let sent = [
        (&parts, headers(&parts, "application/json"), parts["data"].to_string()),
        (&whole, bare, whole.to_string()),
        // The content type decides, whatever the other headers say.
        (&both, headers(&order(user, "another"), structured), both.to_string()),
    ];
    let key = user.to_string();
    for _ in 0..2 {
        for (_, headers, body) in &sent {
            wire.publish("orders", key.as_bytes(), headers.clone(), body.as_bytes()).await?;
        }
    }
    for (event, _, _) in &sent {
        eventually(SOON, async || is_answered(&wire, event).await).await?;
    }
    stage.check_at_rest().await?;
    let orders = stage.api.get(&format!("/orders?userId={user}")).await?;
    let statuses: Vec<&Value> =
        orders.body.as_array().context("a page")?.iter().map(|it| &it["status"]).collect();
    ensure!(statuses == ["paid", "paid", "paid"], "{orders:?}");
    ensure!(stage.api.balance(user).await? == 70);
    Ok(())
}

/// Whether there is an outcome that names the event as its producer does.
async fn is_answered(wire: &Wire, event: &Value) -> Outcome {
    let said = wire.read("orders").await?;
    let answer = said.iter().find(|it| {
        header(it, "ce_type").as_deref() == Some("OrderProcessed")
            && header(it, "ce_correlationid").as_deref() == event["correlationid"].as_str()
    });
    let answer = answer.with_context(|| format!("no outcome of {event}"))?;
    ensure!(answer.payload().is_some() && header(answer, "ce_causationid").is_some(), "{answer:?}");
    Ok(())
}
