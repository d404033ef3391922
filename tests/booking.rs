//! What cases about bookings look at: seats, steps, and how a booking ends.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use domain::{EventId, OrderId, UserId};
use lab::{Reply, eventually};
use reqwest::StatusCode;
use serde_json::Value;

use crate::harness::{Outcome, Stage};

/// How long it may take until something is so.
pub const SOON: Duration = Duration::from_secs(30);
/// What is booked, where it does not matter what.
pub const EVENT: EventId = EventId(7);

/// An answer with this status, and the problem's code if it is one.
pub fn answered(reply: &Reply, status: StatusCode, code: Option<&str>) -> anyhow::Result<OrderId> {
    ensure!(reply.status == status && reply.code() == code, "{reply:?}");
    reply.order_id().with_context(|| format!("no order: {reply:?}"))
}

/// The seats of an event: free, reserved, sold.
pub async fn seats(stage: &Stage, event: EventId) -> anyhow::Result<[i64; 3]> {
    let event = stage.api.get(&format!("/tickets/{event}")).await?;
    let number = |name: &str| event.body[name].as_i64().with_context(|| format!("no {name}: {event:?}"));
    Ok([number("free")?, number("reserved")?, number("sold")?])
}

/// Waits until the seats of [`EVENT`] are so.
pub async fn until_seats(stage: &Stage, expected: [i64; 3]) -> Outcome {
    eventually(SOON, async || {
        let seats = seats(stage, EVENT).await?;
        ensure!(seats == expected, "{seats:?} instead of {expected:?}");
        Ok(())
    })
    .await
}

/// A booking, as its client sees it.
pub async fn booking(stage: &Stage, order: OrderId) -> anyhow::Result<Value> {
    let reply = stage.api.get(&format!("/bookings/{order}")).await?;
    ensure!(reply.status == StatusCode::OK, "{reply:?}");
    Ok(reply.body)
}

/// The steps of a booking and how far they have come.
fn steps(booking: &Value) -> Vec<(&str, &str)> {
    let steps = booking["steps"].as_array().into_iter().flatten();
    steps.filter_map(|step| Some((step["step"].as_str()?, step["state"].as_str()?))).collect()
}

/// Waits until the booking's steps are so.
pub async fn until_steps(stage: &Stage, order: OrderId, expected: &[(&str, &str)]) -> Outcome {
    eventually(SOON, async || {
        let booking = booking(stage, order).await?;
        ensure!(steps(&booking) == expected, "{booking} instead of {expected:?}");
        Ok(())
    })
    .await
}

/// Books and does not wait; says which order that is.
pub async fn book_and_go(stage: &Stage, user: UserId, price: i64, event: EventId) -> anyhow::Result<OrderId> {
    let reply = stage.api.book(user, price, event, &[("prefer", "respond-async")]).await?;
    ensure!(reply.status == StatusCode::ACCEPTED, "{reply:?}");
    let orders = stage.api.get(&format!("/orders?userId={user}")).await?;
    let newest = orders.body.as_array().and_then(|orders| orders.last()?["id"].as_i64());
    newest.map(OrderId).with_context(|| format!("no order: {orders:?}"))
}

/// The titles of the emails to `user`.
pub async fn titles(stage: &Stage, user: UserId) -> anyhow::Result<Vec<Value>> {
    let emails = stage.api.emails(user).await?;
    Ok(emails.iter().map(|email| email["title"].clone()).collect())
}

/// How the booking ended: its reason, and the only email about it.
pub async fn until_rejected(stage: &Stage, user: UserId, order: OrderId, reason: &str) -> Outcome {
    eventually(SOON, async || {
        let booking = booking(stage, order).await?;
        ensure!(booking["status"] == "rejected" && booking["reason"] == reason, "{booking}");
        Ok(())
    })
    .await?;
    stage.check_at_rest().await?;
    let titles = titles(stage, user).await?;
    ensure!(titles == ["Booking is cancelled"], "{titles:?}");
    Ok(())
}

/// Waits until a booking is paid, or rejected for that reason.
pub async fn until_ended(stage: &Stage, order: OrderId, end: &str) -> Outcome {
    eventually(SOON, async || {
        let booking = booking(stage, order).await?;
        let ended = if booking["status"] == "paid" { &booking["status"] } else { &booking["reason"] };
        ensure!(ended == end, "{booking} instead of {end}");
        Ok(())
    })
    .await
}
