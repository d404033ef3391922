//! Sagas whose deadline passes, and participants that answer again, otherwise, elsewhere, or never.

use std::time::Duration;

use anyhow::ensure;
use domain::{EventId, OrderId};
use lab::{Api, Service, eventually};
use rdkafka::message::Header;
use reqwest::StatusCode;
use serde_json::json;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::commands::reply;
use super::races::{First, Met, race};
use crate::booking::{
    EVENT, SOON, answered, book_and_go, booking, titles, until_ended, until_rejected, until_seats,
    until_steps,
};
use crate::harness::{Outcome, Stage, Suite, cases};
use crate::wire::{Wire, envelope};

/// There is no such event.
const NOWHERE: EventId = EventId(8);
/// How long a booking may take in the cases in which that is over.
const DEADLINE: Duration = Duration::from_secs(3);
/// After it, everybody has had the time to look.
const AFTERWARDS: Duration = Duration::from_millis(500);

pub fn register(suite: &mut Suite) {
    cases!(
        suite,
        "sagas",
        where |features| features.has_bookings,
        [
            #[settings(&[("SAGA_DEADLINE_MS", "3000"), ("SAGA_POLL_MS", "50")])]
            a_deadline_that_passes_when_the_booking_is_decided_changes_nothing,
            #[settings(&[("SAGA_DEADLINE_MS", "3000"), ("SAGA_POLL_MS", "50")])]
            a_reply_at_the_wrong_address_is_none_and_the_deadline_undoes_the_booking,
            commands_and_replies_that_come_again_or_say_otherwise_change_nothing,
            compensations_that_overtake_what_they_compensate_leave_nothing_to_compensate,
        ]
    );
}

/// Of one booking the seat is still to be sold, of the other everything is still to be undone.
async fn a_deadline_that_passes_when_the_booking_is_decided_changes_nothing(stage: &mut Stage) -> Outcome {
    let [payer, quitter] = [stage.api.create_user_with(100).await?, stage.api.create_user_with(100).await?];
    stage.api.set_capacity(EVENT, 2).await?;
    stage.check_at_rest().await?;
    stage.deployment.arm(Service::Ticket, "messaging::gathered", "1*off->panic").await?;
    let paid = answered(&stage.api.book(payer, 90, EVENT, &[]).await?, StatusCode::CREATED, None)?;
    stage.deployment.wait_end(Service::Ticket, SOON).await?;
    stage.deployment.kill(Service::Billing).await?;
    let cancelled = book_and_go(stage, quitter, 90, EVENT).await?;
    let late = Instant::now() + DEADLINE + AFTERWARDS;
    ensure!(stage.api.cancel(cancelled).await?.status == StatusCode::ACCEPTED);

    sleep_until(late).await;
    let (paid_now, cancelled_now) = (booking(stage, paid).await?, booking(stage, cancelled).await?);
    ensure!(paid_now["status"] == "paid" && cancelled_now["status"] == "pending");
    let unsold = [("reserve-ticket", "done"), ("withdraw-money", "done"), ("confirm-ticket", "pending")];
    until_steps(stage, paid, &unsold).await?;
    until_steps(stage, cancelled, &[("reserve-ticket", "compensating")]).await?;
    for service in [Service::Billing, Service::Ticket] {
        stage.deployment.start_service(service).await?;
    }
    // Not because of its deadline.
    until_rejected(stage, quitter, cancelled, "cancelled").await?;
    ensure!(titles(stage, payer).await? == ["Booking is paid"]);
    ensure!([stage.api.balance(payer).await?, stage.api.balance(quitter).await?] == [10, 100]);
    until_seats(stage, [1, 0, 1]).await
}

/// The ticket service says that a seat is reserved, but not to who asked. To the orchestrator that is a participant that never
/// answers.
async fn a_reply_at_the_wrong_address_is_none_and_the_deadline_undoes_the_booking(
    stage: &mut Stage,
) -> Outcome {
    let (user, wire) = (stage.api.create_user_with(100).await?, Wire::of(stage)?);
    stage.api.set_capacity(EVENT, 1).await?;
    stage.deployment.kill(Service::Ticket).await?;
    let order = book_and_go(stage, user, 90, EVENT).await?;
    let late = Instant::now() + DEADLINE;
    let body = json!({"orderId": order, "ticketId": 1}).to_string();
    for wrong in ["billing", "emails", "tickets"] {
        let headers = envelope("TicketReserved", Uuid::now_v7());
        wire.publish(wrong, user.to_string().as_bytes(), headers, body.as_bytes()).await?;
    }
    // The deadline is the next thing that happens to it.
    let gives_up_at = eventually(SOON, async || {
        let booking = booking(stage, order).await?;
        ensure!(booking["steps"][0]["state"] == "compensating", "{booking}");
        Ok(Instant::now())
    })
    .await?;
    ensure!(gives_up_at > late - AFTERWARDS, "it gave up before its time");
    until_steps(stage, order, &[("reserve-ticket", "compensating")]).await?;
    stage.deployment.start_service(Service::Ticket).await?;
    until_rejected(stage, user, order, "timed-out").await?;
    ensure!(stage.api.balance(user).await? == 100);
    until_seats(stage, [1, 0, 0]).await
}

async fn commands_and_replies_that_come_again_or_say_otherwise_change_nothing(stage: &mut Stage) -> Outcome {
    let (user, wire) = (stage.api.create_user_with(100).await?, Wire::of(stage)?);
    stage.api.set_capacity(EVENT, 5).await?;
    let book = async |price, event| stage.api.book(user, price, event, &[]).await;
    let paid = answered(&book(60, EVENT).await?, StatusCode::CREATED, None)?;
    answered(&book(60, EVENT).await?, StatusCode::PRECONDITION_FAILED, Some("insufficient-funds"))?;
    answered(&book(1, NOWHERE).await?, StatusCode::NOT_FOUND, Some("event-not-found"))?;
    let refunded = race(stage, user, Met::MoneyWithdrawn, First::Cancellation, StatusCode::ACCEPTED).await?;
    until_ended(stage, refunded, "cancelled").await?;
    stage.check_at_rest().await?;

    let topics = (stage.style.topology)().passing;
    for topic in topics {
        for message in wire.read(topic).await? {
            // As it was, which the inbox knows; and under another id, which only what it is about knows.
            wire.publish_again(&message, None).await?;
            wire.publish_again(&message, Some(Uuid::now_v7())).await?;
        }
    }
    // Participants that have changed their mind.
    let refused = json!({"code": "insufficient-funds", "message": "The balance is smaller than the price."});
    for (kind, body) in [
        ("TicketRefused", json!({"orderId": paid, "error": refused})),
        ("WithdrawalRefused", json!({"orderId": paid, "error": refused})),
        ("WithdrawalCancelled", json!({"orderId": paid})),
        ("TicketReleased", json!({"orderId": paid})),
        ("MoneyWithdrawn", json!({"orderId": refunded})),
    ] {
        let (headers, body) = (envelope(kind, Uuid::now_v7()), body.to_string());
        wire.publish("order-updates", user.to_string().as_bytes(), headers, body.as_bytes()).await?;
    }
    stage.check_at_rest().await?;
    ensure!(stage.api.balance(user).await? == 40);
    until_seats(stage, [4, 0, 1]).await?;
    ensure!(titles(stage, user).await?.len() == 4, "{:?}", titles(stage, user).await?);
    for service in [Service::Order, Service::Billing, Service::Ticket, Service::Notification] {
        let metrics = stage.metrics(service).await?;
        ensure!(metrics.contains("messaging_duplicates_skipped_total"), "{service:?}:\n{metrics}");
    }
    let metrics = stage.metrics(Service::Order).await?;
    ensure!(metrics.contains("saga_news_ignored_total"), "what was ignored is not counted:\n{metrics}");
    Ok(())
}

/// As where partitions were added in between: the compensation of each step is there before the step is asked for.
async fn compensations_that_overtake_what_they_compensate_leave_nothing_to_compensate(
    stage: &mut Stage,
) -> Outcome {
    let (user, wire) = (stage.api.create_user_with(100).await?, Wire::of(stage)?);
    stage.api.set_capacity(EVENT, 1).await?;
    // Nobody cares for the replies there, which are about orders that do not exist yet.
    let elsewhere = wire.topic("emails");
    let price = json!({"amount": "0.90", "currency": "RUB"});
    for (order, key, topic, kind, done) in [
        (1, "seat", "tickets", "ReleaseTicket", "TicketReleased"),
        (2, "money", "billing", "CancelWithdrawal", "WithdrawalCancelled"),
    ] {
        let request = Api::booking_request(key).0;
        let headers = envelope(kind, request);
        let headers = headers.insert(Header { key: "ce_replyto", value: Some(elsewhere.as_str()) });
        let body = json!({"orderId": order, "userId": user, "price": price}).to_string();
        wire.publish(topic, user.to_string().as_bytes(), headers, body.as_bytes()).await?;
        reply(&wire, "emails", done, request).await?;
        let heard = stage.api.book(user, 90, EVENT, &[("idempotency-key", key)]).await?;
        ensure!(heard.code() == Some("cancelled") && heard.order_id() == Some(OrderId(order)), "{heard:?}");
        ensure!(stage.api.balance(user).await? == 100);
        until_seats(stage, [1, 0, 0]).await?;
    }
    Ok(())
}
