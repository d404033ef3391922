//! `kill -9` at every crash point. Where there are bookings, a service dies at every command and every reply of those that are paid,
//! too dear, or sold out.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use domain::{EventId, RequestId, UserId};
use lab::{Api, Reply, STYLES, Service, Style, eventually};
use nix::sys::signal::Signal;
use reqwest::StatusCode;

use crate::booking::seats;
use crate::harness::{Outcome, Stage, Suite};

/// How long a service may take to get to its crash point, or the system to get over it.
const SOON: Duration = Duration::from_secs(30);

/// What an order costs that can be paid.
const PRICE: i64 = 90;
/// What is left in the end, and not enough for another one.
const LEFT: i64 = 10;
/// What nobody can pay.
const TOO_MUCH: i64 = 100_000;

pub fn register(suite: &mut Suite) {
    for style in STYLES {
        for &(service, crash_point) in style.features.crash_points {
            let name = format!("{}::crashes::{}_dies_at_{crash_point}", style.name, service.name());
            suite.on_used_stage(name, style, async move |stage| dies_at(stage, service, crash_point).await);
        }
    }
}

/// What is ordered while a service is to die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    Affordable,
    TooDear,
    /// Of bookings only.
    SoldOut,
}

impl Load {
    /// How it ends: the answer, and the title of the email.
    fn end(self, is_booking: bool) -> (StatusCode, &'static str) {
        match self {
            Self::Affordable if is_booking => (StatusCode::CREATED, "Booking is paid"),
            Self::Affordable => (StatusCode::CREATED, "Order is paid"),
            Self::TooDear => (StatusCode::PRECONDITION_FAILED, "Not enough money"),
            Self::SoldOut => (StatusCode::CONFLICT, "Sold out"),
        }
    }
}

/// What is ordered, and how often the service gets past its crash point before it dies there.
fn rounds(style: &Style, service: Service, crash_point: &str) -> &'static [(Load, u32)] {
    use Load::{Affordable, SoldOut, TooDear};
    // A commit of offsets may be about several messages, and not every message is about a withdrawal.
    let comes_once = ["messaging::offset_committed", style.features.points.withdrawal_received];
    if !style.features.has_bookings || comes_once.contains(&crash_point) {
        return &[(Affordable, 0), (TooDear, 0)];
    }
    match service {
        // It says ReserveTicket, WithdrawMoney or CancelWithdrawal, ConfirmTicket or ReleaseTicket, and hears the reply to each.
        Service::Order => {
            &[(Affordable, 0), (Affordable, 1), (TooDear, 1), (SoldOut, 1), (Affordable, 2), (TooDear, 2)]
        }
        // It hears and answers ReserveTicket, ConfirmTicket or ReleaseTicket.
        Service::Ticket => &[(Affordable, 0), (SoldOut, 0), (Affordable, 1), (TooDear, 1)],
        // It hears and answers WithdrawMoney or CancelWithdrawal.
        Service::Billing => &[(Affordable, 0), (TooDear, 0), (SoldOut, 0)],
        Service::Notification | Service::Gateway => &[(Affordable, 0), (TooDear, 0)],
    }
}

/// Somebody with money for every order that can be paid, and a little more.
struct Buyer {
    user: UserId,
    /// Where bookings are made: an event with a seat more than are paid, and one without seats.
    events: Option<[EventId; 2]>,
}

impl Buyer {
    async fn come(stage: &Stage, paid: i64) -> anyhow::Result<Self> {
        let user = stage.api.create_user_with(paid * PRICE + LEFT).await?;
        // Nobody else's: other cases use the stage too.
        let events =
            stage.style.features.has_bookings.then_some([EventId(2 * user.0), EventId(2 * user.0 + 1)]);
        if let Some([open, full]) = events {
            stage.api.set_capacity(open, paid + 1).await?;
            stage.api.set_capacity(full, 0).await?;
        }
        Ok(Self { user, events })
    }

    /// Asks for `load` under `key`, and waits for its end no longer than 5 s.
    async fn order(&self, api: &Api, load: Load, key: &str) -> anyhow::Result<Reply> {
        let headers = [("idempotency-key", key), ("prefer", "wait=5")];
        let price = if load == Load::TooDear { TOO_MUCH } else { PRICE };
        match self.events {
            Some([open, full]) => {
                let event = if load == Load::SoldOut { full } else { open };
                api.book(self.user, price, event, &headers).await
            }
            None => api.order(self.user, price, &headers).await,
        }
    }

    /// The request that `key` names.
    fn request(&self, key: &str) -> RequestId {
        if self.events.is_some() { Api::booking_request(key) } else { Api::order_request(key) }
    }

    /// Nothing is paid but what was ordered and affordable, and each of it once.
    async fn has_paid(&self, stage: &Stage, paid: i64) -> Outcome {
        let balance = stage.api.balance(self.user).await?;
        ensure!(balance == LEFT, "{balance} are left instead of {LEFT}");
        if let Some([open, full]) = self.events {
            let seats = [seats(stage, open).await?, seats(stage, full).await?];
            ensure!(seats == [[1, 0, paid], [0, 0, 0]], "{seats:?}");
        }
        Ok(())
    }
}

async fn dies_at(stage: &mut Stage, service: Service, crash_point: &str) -> Outcome {
    let rounds = rounds(stage.style, service, crash_point);
    let paid = i64::try_from(rounds.iter().filter(|(load, _)| *load == Load::Affordable).count())?;
    let buyer = Buyer::come(stage, paid).await?;
    for &(load, spared) in rounds {
        // What has led here must not lead to the crash point itself: neither what was before, nor the outcome of the last round, which
        // is announced again to who asks again.
        stage.check_at_rest().await?;
        let key = format!("{load:?}, {} dies at {crash_point} after {spared}", service.name());
        stage.deployment.arm(service, crash_point, &format!("{spared}*off->panic")).await?;
        // Whatever it is: the client may hear of the crash or not.
        let heard = buyer.order(&stage.api, load, &key).await;
        let end = stage.deployment.wait_end(service, SOON).await;
        let end = end.with_context(|| format!("{key}: it did not; the client heard {heard:?}"))?;
        ensure!(was_killed(end), "{key}: it ended with {end}");
        stage.deployment.start_service(service).await?;

        // Without any help of the client's the order is finished and its email sent ...
        let order = eventually(SOON, async || {
            let found = stage.api.get(&format!("/orders/requests/{}", buyer.request(&key))).await?;
            ensure!(found.status == StatusCode::OK, "{key}: {found:?}");
            Ok(found)
        })
        .await?;
        stage.check_at_rest().await?;
        // ... and a client that asks again is told what it would have been told.
        let (status, title) = load.end(buyer.events.is_some());
        let again = buyer.order(&stage.api, load, &key).await?;
        ensure!(again.status == status, "{key}: {again:?}, heard {heard:?}");
        ensure!(again.body["orderId"] == order.body["id"], "{key}: {again:?}, but the order is {order:?}");
        let emails = stage.api.emails(buyer.user).await?;
        ensure!(emails.last().is_some_and(|email| email["title"] == title), "{key}: {emails:?}");
    }
    buyer.has_paid(stage, paid).await
}

fn was_killed(end: ExitStatus) -> bool {
    end.signal() == Some(Signal::SIGKILL as i32)
}
