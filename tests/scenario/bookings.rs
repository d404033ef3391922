//! Bookings: orders with a ticket, which are paid, refused, cancelled or too late, and leave nothing behind unless they are paid.

use anyhow::{Context as _, ensure};
use domain::{EventId, UserId};
use lab::{Api, Service, eventually};
use reqwest::StatusCode;
use serde_json::json;
use tokio::task::JoinSet;

use crate::booking::{
    EVENT, SOON, answered, book_and_go, booking, seats, titles, until_rejected, until_seats, until_steps,
};
use crate::harness::{Outcome, Stage, Suite, cases};

pub fn register(suite: &mut Suite) {
    cases!(
        suite,
        "bookings",
        where |features| features.has_bookings,
        [
            a_booking_that_is_paid_has_a_ticket_and_its_steps_can_be_seen,
            a_booking_that_is_refused_says_why_and_holds_nothing,
            a_booking_that_is_repeated_is_the_same_booking,
            an_event_has_as_many_seats_as_it_is_told_and_never_fewer_than_are_taken,
            a_booking_that_is_cancelled_frees_its_seat_at_once_and_ends_when_all_is_undone,
            money_that_was_withdrawn_when_the_client_cancelled_goes_back,
            a_reservation_that_comes_after_its_cancellation_holds_no_seat,
            #[settings(&[("SAGA_DEADLINE_MS", "1000"), ("SAGA_POLL_MS", "50")])]
            a_booking_that_is_not_decided_in_time_is_undone,
            many_who_want_the_last_seats_get_no_more_than_there_are,
            replicas_of_everybody_book_side_by_side,
        ]
    );
}

async fn a_booking_that_is_paid_has_a_ticket_and_its_steps_can_be_seen(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(100).await?;
    stage.api.set_capacity(EVENT, 2).await?;
    let reply = stage.api.book(user, 90, EVENT, &[]).await?;
    let order = answered(&reply, StatusCode::CREATED, None)?;
    ensure!(reply.header("location") == Some(&format!("/bookings/{order}")), "{reply:?}");
    let done = [("reserve-ticket", "done"), ("withdraw-money", "done"), ("confirm-ticket", "done")];
    until_steps(stage, order, &done).await?;
    let booking = booking(stage, order).await?;
    ensure!(booking["status"] == "paid" && booking["eventId"] == EVENT.0, "{booking}");
    ensure!(booking["ticketId"].is_i64() && booking["ticketId"] == reply.body["ticketId"], "{booking}");
    let as_order = stage.api.get(&format!("/orders/{order}")).await?;
    ensure!(as_order.body["status"] == "paid" && as_order.body.get("eventId").is_none(), "{as_order:?}");
    until_seats(stage, [1, 0, 1]).await?;
    ensure!(stage.api.balance(user).await? == 10);
    stage.check_at_rest().await?;
    let titles = titles(stage, user).await?;
    ensure!(titles == ["Booking is paid"], "{titles:?}");
    // It is decided.
    let late = stage.api.cancel(order).await?;
    ensure!(late.status == StatusCode::CONFLICT && late.code() == Some("already-decided"), "{late:?}");
    // An order without a ticket is no booking.
    let plain = stage.api.order(user, 10, &[]).await?.order_id().context("no order")?;
    ensure!(stage.api.get(&format!("/bookings/{plain}")).await?.status == StatusCode::NOT_FOUND);
    ensure!(stage.api.cancel(plain).await?.status == StatusCode::NOT_FOUND);
    Ok(())
}

async fn a_booking_that_is_refused_says_why_and_holds_nothing(stage: &mut Stage) -> Outcome {
    let (user, nobody) = (stage.api.create_user_with(100).await?, UserId(987_654_321));
    stage.api.set_capacity(EVENT, 1).await?;
    let poor = stage.api.book(user, 101, EVENT, &[]).await?;
    let poor = answered(&poor, StatusCode::PRECONDITION_FAILED, Some("insufficient-funds"))?;
    // A rejected booking is one of which nothing is left.
    ensure!(seats(stage, EVENT).await? == [1, 0, 0], "{:?}", seats(stage, EVENT).await?);
    let undone = [("reserve-ticket", "compensated"), ("withdraw-money", "refused")];
    until_steps(stage, poor, &undone).await?;
    let unknown = stage.api.book(user, 1, EventId(8), &[]).await?;
    answered(&unknown, StatusCode::NOT_FOUND, Some("event-not-found"))?;
    let stranger = stage.api.book(nobody, 1, EVENT, &[]).await?;
    answered(&stranger, StatusCode::NOT_FOUND, Some("account-not-found"))?;
    ensure!(seats(stage, EVENT).await? == [1, 0, 0]);
    answered(&stage.api.book(user, 1, EVENT, &[]).await?, StatusCode::CREATED, None)?;
    let late = stage.api.book(user, 1, EVENT, &[]).await?;
    let late = answered(&late, StatusCode::CONFLICT, Some("sold-out"))?;
    until_steps(stage, late, &[("reserve-ticket", "refused")]).await?;
    // Who does not exist is told so, also where everything is sold out.
    let stranger = stage.api.book(nobody, 1, EVENT, &[]).await?;
    answered(&stranger, StatusCode::NOT_FOUND, Some("account-not-found"))?;
    stage.check_at_rest().await?;
    ensure!(stage.api.balance(user).await? == 99);
    let titles = titles(stage, user).await?;
    let expected = ["Not enough money", "Booking is cancelled", "Booking is paid", "Sold out"];
    ensure!(expected.iter().all(|title| titles.contains(&json!(title))) && titles.len() == 4, "{titles:?}");
    Ok(())
}

async fn a_booking_that_is_repeated_is_the_same_booking(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(100).await?;
    stage.api.set_capacity(EVENT, 5).await?;
    let key = [("idempotency-key", "k")];
    let first = stage.api.book(user, 10, EVENT, &key).await?;
    answered(&first, StatusCode::CREATED, None)?;
    let again = stage.api.book(user, 10, EVENT, &key).await?;
    ensure!(again.status == StatusCode::CREATED && again.body == first.body, "{again:?}");
    // The same key names another request where something else is asked for, and an order is no booking.
    let order = stage.api.order(user, 10, &key).await?;
    ensure!(order.status == StatusCode::CREATED && order.order_id() != first.order_id(), "{order:?}");
    for (price, event) in [(11, EVENT), (10, EventId(8))] {
        let reused = stage.api.book(user, price, event, &key).await?;
        ensure!(reused.status == StatusCode::UNPROCESSABLE_ENTITY, "{reused:?}");
    }
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        let api = stage.api.clone();
        clients.spawn(async move { api.book(user, 10, EVENT, &[("idempotency-key", "at once")]).await });
    }
    let mut orders = Vec::new();
    while let Some(reply) = clients.join_next().await.transpose()? {
        orders.push(answered(&reply?, StatusCode::CREATED, None)?);
    }
    ensure!(orders.iter().all(|order| *order == orders[0]), "{orders:?}");
    until_seats(stage, [3, 0, 2]).await
}

async fn an_event_has_as_many_seats_as_it_is_told_and_never_fewer_than_are_taken(
    stage: &mut Stage,
) -> Outcome {
    let user = stage.api.create_user_with(100).await?;
    ensure!(stage.api.get(&format!("/tickets/{EVENT}")).await?.status == StatusCode::NOT_FOUND);
    for (capacity, status) in [(3, StatusCode::CREATED), (2, StatusCode::OK)] {
        let set = stage.api.set_capacity(EVENT, capacity).await?;
        let expected =
            json!({"eventId": EVENT, "capacity": capacity, "free": capacity, "reserved": 0, "sold": 0});
        ensure!(set.status == status && set.body == expected, "{set:?}");
    }
    answered(&stage.api.book(user, 1, EVENT, &[]).await?, StatusCode::CREATED, None)?;
    let too_few = stage.api.set_capacity(EVENT, 0).await?;
    ensure!(too_few.status == StatusCode::CONFLICT, "{too_few:?}");
    until_seats(stage, [1, 0, 1]).await
}

async fn a_booking_that_is_cancelled_frees_its_seat_at_once_and_ends_when_all_is_undone(
    stage: &mut Stage,
) -> Outcome {
    let user = stage.api.create_user_with(100).await?;
    stage.api.set_capacity(EVENT, 1).await?;
    stage.deployment.kill(Service::Billing).await?;
    let order = book_and_go(stage, user, 90, EVENT).await?;
    until_steps(stage, order, &[("reserve-ticket", "done"), ("withdraw-money", "pending")]).await?;
    for _ in 0..2 {
        let cancelled = stage.api.cancel(order).await?;
        ensure!(cancelled.status == StatusCode::ACCEPTED, "{cancelled:?}");
        ensure!(cancelled.body["status"] == "pending", "{cancelled:?}");
    }
    // Nobody waits for billing to give a seat to somebody else.
    until_seats(stage, [1, 0, 0]).await?;
    until_steps(stage, order, &[("reserve-ticket", "compensated"), ("withdraw-money", "compensating")])
        .await?;
    ensure!(booking(stage, order).await?["status"] == "pending", "it ends before its money is safe");
    stage.deployment.start_service(Service::Billing).await?;
    until_rejected(stage, user, order, "cancelled").await?;
    ensure!(stage.api.cancel(order).await?.status == StatusCode::CONFLICT);
    ensure!(stage.api.balance(user).await? == 100);
    Ok(())
}

/// The order service hears nothing when billing has taken the money.
async fn money_that_was_withdrawn_when_the_client_cancelled_goes_back(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(100).await?;
    stage.api.set_capacity(EVENT, 1).await?;
    stage.check_at_rest().await?;
    // The first reply is that of the ticket service; the second one is held up.
    stage.deployment.arm(Service::Order, "messaging::gathered", "1*off->sleep(3000)").await?;
    let order = book_and_go(stage, user, 90, EVENT).await?;
    eventually(SOON, async || {
        ensure!(stage.api.balance(user).await? == 10, "nothing is withdrawn yet");
        Ok(())
    })
    .await?;
    let cancelled = stage.api.cancel(order).await?;
    ensure!(cancelled.status == StatusCode::ACCEPTED, "{cancelled:?}");
    until_rejected(stage, user, order, "cancelled").await?;
    ensure!(stage.api.balance(user).await? == 100);
    until_seats(stage, [1, 0, 0]).await
}

/// The commands lie in the channels when the participants come: the cancellation's reply ends the booking, whatever is done of it.
async fn a_reservation_that_comes_after_its_cancellation_holds_no_seat(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(100).await?;
    stage.api.set_capacity(EVENT, 1).await?;
    stage.deployment.kill(Service::Ticket).await?;
    let order = book_and_go(stage, user, 90, EVENT).await?;
    let cancelled = stage.api.cancel(order).await?;
    ensure!(cancelled.status == StatusCode::ACCEPTED, "{cancelled:?}");
    stage.deployment.start_service(Service::Ticket).await?;
    until_rejected(stage, user, order, "cancelled").await?;
    ensure!(stage.api.balance(user).await? == 100);
    until_seats(stage, [1, 0, 0]).await
}

async fn a_booking_that_is_not_decided_in_time_is_undone(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(100).await?;
    stage.api.set_capacity(EVENT, 1).await?;
    for away in [Service::Billing, Service::Ticket] {
        stage.deployment.kill(away).await?;
        let headers = [("prefer", "wait=2"), ("idempotency-key", away.name())];
        let waited = stage.api.book(user, 90, EVENT, &headers).await?;
        ensure!(waited.status == StatusCode::ACCEPTED, "{waited:?}");
        stage.deployment.start_service(away).await?;
        let outcome = stage.api.outcome(Api::booking_request(away.name()), SOON).await?;
        ensure!(outcome.body["reason"] == "timed-out", "{outcome:?}");
    }
    eventually(SOON, async || {
        let metrics = stage.metrics(Service::Order).await?;
        ensure!(metrics.contains("sagas_timed_out_total{service=\"order\"} 2\n"), "{metrics}");
        Ok(())
    })
    .await?;
    stage.check_at_rest().await?;
    until_seats(stage, [1, 0, 0]).await?;
    ensure!(stage.api.balance(user).await? == 100);
    // An order without a ticket holds nothing of anybody's, and has no deadline.
    stage.deployment.kill(Service::Billing).await?;
    let key = [("prefer", "wait=2"), ("idempotency-key", "plain")];
    ensure!(stage.api.order(user, 90, &key).await?.status == StatusCode::ACCEPTED);
    stage.deployment.start_service(Service::Billing).await?;
    let outcome = stage.api.outcome(Api::order_request("plain"), SOON).await?;
    ensure!(outcome.body["status"] == "paid", "{outcome:?}");
    Ok(())
}

async fn many_who_want_the_last_seats_get_no_more_than_there_are(stage: &mut Stage) -> Outcome {
    const SEATS: i64 = 10;
    stage.api.set_capacity(EVENT, SEATS).await?;
    let mut buyers = JoinSet::new();
    for number in 0..45 {
        // A third have no money.
        let user = stage.api.create_user_with(if number % 3 == 0 { 1 } else { 10 }).await?;
        let api = stage.api.clone();
        buyers.spawn(async move { api.book(user, 10, EVENT, &[]).await });
    }
    let mut paid = 0;
    while let Some(reply) = buyers.join_next().await.transpose()? {
        let reply = reply?;
        match (reply.status, reply.code()) {
            (StatusCode::CREATED, None) => paid += 1,
            (StatusCode::CONFLICT, Some("sold-out"))
            | (StatusCode::PRECONDITION_FAILED, Some("insufficient-funds")) => {}
            _ => anyhow::bail!("{reply:?}"),
        }
    }
    stage.check_at_rest().await?;
    // Who is refused while a seat is held in vain is refused for good.
    ensure!(paid > 0 && paid <= SEATS, "{paid} have paid");
    until_seats(stage, [SEATS - paid, 0, paid]).await
}

async fn replicas_of_everybody_book_side_by_side(stage: &mut Stage) -> Outcome {
    let mut apis = vec![stage.api.clone()];
    for &service in stage.style.services {
        let url = stage.deployment.start_replica(service).await?;
        if service == Service::Gateway {
            apis.push(stage.api.at(url));
        }
    }
    let mut users = Vec::new();
    for _ in 0..8 {
        users.push(stage.api.create_user_with(30).await?);
    }
    stage.api.set_capacity(EVENT, 24).await?;
    let mut clients = JoinSet::new();
    for (number, &user) in users.iter().cycle().take(24).enumerate() {
        let api = apis[number % apis.len()].clone();
        clients.spawn(async move { api.book(user, 10, EVENT, &[]).await });
    }
    while let Some(reply) = clients.join_next().await.transpose()? {
        answered(&reply?, StatusCode::CREATED, None)?;
    }
    until_seats(stage, [0, 0, 24]).await
}
