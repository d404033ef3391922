//! Buyers, and what they can see: how many seats are left. Somebody who is told that no seat is free comes again when one is.

use std::time::Duration;

use anyhow::{Context as _, bail};
use domain::{EventId, UserId};
use lab::driving::Api;
use reqwest::StatusCode;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout, timeout_at};
use uuid::Uuid;

/// How often it is looked how many seats are left.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long a buyer waits before asking again under the same key.
const AGAIN_AFTER: Duration = Duration::from_millis(200);
/// As long as a client may wait.
const PATIENCE: (&str, &str) = ("prefer", "wait=30");

/// The seats of an event, as its page shows them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seats {
    free: i64,
    pub(super) reserved: i64,
    pub(super) sold: i64,
}

/// Looks at the seats until it is dropped, so that not every buyer has to.
pub(super) struct Watch {
    seats: watch::Receiver<Seats>,
    _looking: JoinSet<()>,
}

impl Watch {
    pub(super) fn begin(api: &Api, event: EventId) -> Self {
        let (sender, seats) = watch::channel(Seats::default());
        let (api, mut looking) = (api.clone(), JoinSet::new());
        looking.spawn(async move {
            let mut looks = interval(LOOK_EVERY);
            looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                looks.tick().await;
                // Who does not answer now does so later.
                if let Some(seats) = look(&api, event).await {
                    sender.send_replace(seats);
                }
            }
        });
        Self { seats, _looking: looking }
    }

    /// Where each look can be seen.
    pub(super) fn seats(&self) -> watch::Receiver<Seats> {
        self.seats.clone()
    }

    /// Waits until the seats are as `is` says.
    ///
    /// # Errors
    /// When they are not within `longest`.
    pub(super) async fn wait_for(
        &self,
        what: &str,
        is: impl Fn(Seats) -> bool,
        longest: Duration,
    ) -> anyhow::Result<()> {
        let mut seats = self.seats();
        let waiting = timeout(longest, seats.wait_for(|seats| is(*seats)));
        waiting.await.with_context(|| format!("it is not so that {what}"))??;
        Ok(())
    }
}

async fn look(api: &Api, event: EventId) -> Option<Seats> {
    let body = api.get(&format!("tickets/{event}")).await.ok()?.body;
    let number = |name: &str| body[name].as_i64();
    Some(Seats { free: number("free")?, reserved: number("reserved")?, sold: number("sold")? })
}

/// Somebody who wants a seat.
pub(super) struct Buyer {
    pub(super) api: Api,
    pub(super) user: UserId,
    pub(super) event: EventId,
    pub(super) price: i64,
    pub(super) seats: watch::Receiver<Seats>,
}

/// What a buyer lived through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Lived {
    pub(super) bookings: u64,
    /// Bookings among them that were refused, and a seat was free afterwards.
    pub(super) refused_too_early: u64,
    /// From the beginning until it was clear how it ends; `None`: it never was.
    pub(super) known_after_s: Option<f64>,
}

/// How a booking was decided.
enum Decided {
    Paid,
    NotEnoughMoney,
    /// No seat was free, or it was not decided in time.
    NoSeat,
}

impl Buyer {
    /// Books until there is a seat, no money, or no seat to be had any more; `until` then at the latest.
    ///
    /// # Errors
    /// When an answer is none that the contract knows.
    pub(super) async fn buy(mut self, until: Instant) -> anyhow::Result<Lived> {
        let begun = Instant::now();
        let mut lived = Lived { bookings: 0, refused_too_early: 0, known_after_s: None };
        loop {
            lived.bookings += 1;
            match self.book(until).await? {
                None => return Ok(lived),
                Some(Decided::Paid | Decided::NotEnoughMoney) => break,
                Some(Decided::NoSeat) => match self.a_seat_is_free(until).await {
                    None => return Ok(lived),
                    Some(false) => break,
                    Some(true) => lived.refused_too_early += 1,
                },
            }
        }
        lived.known_after_s = Some(begun.elapsed().as_secs_f64());
        Ok(lived)
    }

    /// One booking, which is asked about under one key until it is decided; `None`: it is not, as long as one waits.
    async fn book(&self, until: Instant) -> anyhow::Result<Option<Decided>> {
        let key = Uuid::new_v4().simple().to_string();
        while Instant::now() < until {
            let headers = [("idempotency-key", key.as_str()), PATIENCE];
            if let Ok(reply) = self.api.book(self.user, self.price, self.event, &headers).await {
                match (reply.status, reply.code()) {
                    (StatusCode::CREATED, _) => return Ok(Some(Decided::Paid)),
                    (StatusCode::PRECONDITION_FAILED, _) => return Ok(Some(Decided::NotEnoughMoney)),
                    (StatusCode::CONFLICT, Some("sold-out" | "timed-out")) => {
                        return Ok(Some(Decided::NoSeat));
                    }
                    (status, _) if status == StatusCode::ACCEPTED || status.is_server_error() => {}
                    (status, _) => bail!("a booking is answered with {status} {}", reply.body),
                }
            }
            sleep(AGAIN_AFTER).await;
        }
        Ok(None)
    }

    /// Waits until a seat is free, or none will be; `None`: neither is so, as long as one waits.
    async fn a_seat_is_free(&mut self, until: Instant) -> Option<bool> {
        // What was seen before the refusal says nothing about the time after it.
        self.seats.mark_unchanged();
        loop {
            timeout_at(until, self.seats.changed()).await.ok()?.ok()?;
            let Seats { free, reserved, .. } = *self.seats.borrow_and_update();
            if free > 0 || reserved == 0 {
                return Some(free > 0);
            }
        }
    }
}
