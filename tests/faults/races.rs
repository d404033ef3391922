//! Clients that cancel at the very moment at which a reply comes: both stand at the saga's row, and one of them is first.

use anyhow::{Context as _, ensure};
use domain::{EventId, OrderId, UserId};
use reqwest::StatusCode;

use super::barrier::Barrier;
use crate::booking::{EVENT, book_and_go, seats, titles, until_ended, until_steps};
use crate::harness::{Outcome, Stage, Suite, cases};

/// Nobody gets a seat there.
const FULL: EventId = EventId(8);

pub fn register(suite: &mut Suite) {
    cases!(
        suite,
        "sagas",
        where |features| features.has_bookings,
        [a_cancellation_that_races_with_any_reply_wins_or_loses_as_a_whole]
    );
}

/// A reply that a cancellation meets at the saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    TicketReserved,
    TicketRefused,
    MoneyWithdrawn,
    WithdrawalRefused,
    TicketConfirmed,
    TicketReleased,
    WithdrawalCancelled,
}

/// Which of the two is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    Reply,
    Cancellation,
}

/// Every reply; what the cancellation is answered and how the booking ends, if the reply is first, and if the cancellation is.
const RACES: [(Met, [(StatusCode, &str); 2]); 7] = {
    const ACCEPTED: StatusCode = StatusCode::ACCEPTED;
    const DECIDED: StatusCode = StatusCode::CONFLICT;
    [
        (Met::TicketReserved, [(ACCEPTED, "cancelled"), (ACCEPTED, "cancelled")]),
        (Met::TicketRefused, [(ACCEPTED, "sold-out"), (ACCEPTED, "cancelled")]),
        (Met::MoneyWithdrawn, [(DECIDED, "paid"), (ACCEPTED, "cancelled")]),
        (Met::WithdrawalRefused, [(ACCEPTED, "insufficient-funds"), (ACCEPTED, "cancelled")]),
        (Met::TicketConfirmed, [(DECIDED, "paid"), (DECIDED, "paid")]),
        // Somebody has cancelled before.
        (Met::TicketReleased, [(DECIDED, "cancelled"), (ACCEPTED, "cancelled")]),
        (Met::WithdrawalCancelled, [(DECIDED, "sold-out"), (ACCEPTED, "sold-out")]),
    ]
};

async fn a_cancellation_that_races_with_any_reply_wins_or_loses_as_a_whole(stage: &mut Stage) -> Outcome {
    stage.api.set_capacity(EVENT, 100).await?;
    stage.api.set_capacity(FULL, 0).await?;
    let mut paid = 0;
    for (met, ends) in RACES {
        for (first, (status, end)) in [First::Reply, First::Cancellation].into_iter().zip(ends) {
            let what = format!("{met:?} and a cancellation, {first:?} first");
            let user = stage.api.create_user_with(100).await?;
            let order = race(stage, user, met, first, status).await.with_context(|| what.clone())?;
            let title = match end {
                "paid" => "Booking is paid",
                "sold-out" => "Sold out",
                "insufficient-funds" => "Not enough money",
                _ => "Booking is cancelled",
            };
            until_ended(stage, order, end).await.with_context(|| what.clone())?;
            stage.check_at_rest().await.with_context(|| what.clone())?;
            ensure!(titles(stage, user).await? == [title], "{what}: {:?}", titles(stage, user).await?);
            let is_paid = end == "paid";
            ensure!(stage.api.balance(user).await? == if is_paid { 90 } else { 100 }, "{what}");
            paid += i64::from(is_paid);
            ensure!(seats(stage, EVENT).await? == [100 - paid, 0, paid], "{what}");
        }
    }
    Ok(())
}

/// Has a reply and a cancellation meet at the saga of a new booking, one of them `first`.
pub async fn race(
    stage: &Stage,
    user: UserId,
    met: Met,
    first: First,
    status: StatusCode,
) -> anyhow::Result<OrderId> {
    /// What everybody asks who goes on with a saga.
    const LOCKS: &str = "for update of sagas";
    let (order, participant) = shortly_before(stage, user, met).await?;
    let saga = Barrier::at_saga(stage, order).await?;
    let api = stage.api.clone();
    let cancel = async move { api.cancel(order).await };
    let cancelling = match first {
        First::Reply => {
            participant.lift().await?;
            saga.holds_up_at(LOCKS, 1).await?;
            tokio::spawn(cancel)
        }
        First::Cancellation => {
            let cancelling = tokio::spawn(cancel);
            saga.holds_up_at(LOCKS, 1).await?;
            participant.lift().await?;
            cancelling
        }
    };
    // Those who wait for a row get it in the order in which they came.
    saga.holds_up_at(LOCKS, 2).await?;
    saga.lift().await?;
    let heard = cancelling.await??;
    ensure!(heard.status == status, "{heard:?}");
    Ok(order)
}

/// A booking of which that reply comes next, as soon as the barrier is lifted that holds up the participant.
async fn shortly_before(stage: &Stage, user: UserId, met: Met) -> anyhow::Result<(OrderId, Barrier)> {
    let (price, event) = match met {
        Met::WithdrawalRefused => (101, EVENT),
        Met::TicketRefused | Met::WithdrawalCancelled => (10, FULL),
        _ => (10, EVENT),
    };
    let at_work = match met {
        Met::TicketReserved | Met::TicketRefused => Barrier::at_tickets(stage).await?,
        _ => Barrier::at_requests(stage).await?,
    };
    let order = book_and_go(stage, user, price, event).await?;
    at_work.holds_up(1).await?;
    if !matches!(met, Met::TicketConfirmed | Met::TicketReleased) {
        return Ok((order, at_work));
    }
    let next = Barrier::at_tickets(stage).await?;
    if met == Met::TicketReleased {
        ensure!(stage.api.cancel(order).await?.status == StatusCode::ACCEPTED);
        at_work.lift().await?;
        let steps = [("reserve-ticket", "compensating"), ("withdraw-money", "compensated")];
        until_steps(stage, order, &steps).await?;
    } else {
        at_work.lift().await?;
        next.holds_up(1).await?;
    }
    Ok((order, next))
}
