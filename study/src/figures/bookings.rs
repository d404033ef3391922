//! More buyers than seats, all at once: what became of the seats, the money and the buyers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::quantiles::Quantiles;

/// Sales of an event's seats, one for each trouble.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BookingsFigures {
    /// Seats of the event.
    pub seats: u64,
    /// Buyers, who all begin at the same moment and want one seat each.
    pub buyers: u64,
    /// Buyers among them whose account is empty.
    pub without_money: u64,
    /// The sales, each on a database of its own.
    pub sales: Vec<SaleFigures>,
}

/// What happens during a sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// Nothing.
    Nothing,
    /// Billing is killed (`kill -9`) while withdrawals are under way, and started again later.
    BillingKilled,
    /// Billing is away from before the sale until the deadline of every booking that holds a seat has passed.
    DeadlinesPass,
}

/// One sale.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SaleFigures {
    /// What happened meanwhile.
    pub trouble: Trouble,
    /// How long billing was away.
    pub billing_away_s: f64,
    /// How long a booking may take until it is undone.
    pub deadline_s: f64,
    /// From the beginning until the last buyer knew.
    pub took_s: f64,
    /// Seats that were sold in the end.
    pub sold: u64,
    /// Buyers whose money is gone and who have no seat for it.
    pub charged_without_seat: u64,
    /// Buyers who have a seat that they did not pay.
    pub seated_without_charge: u64,
    /// Buyers who never learned what became of their booking.
    pub unanswered: u64,
    /// Orders that are neither paid nor rejected, once everything is at rest.
    pub undecided: u64,
    /// Bookings: a buyer who was told that no seat is free comes again when one is.
    pub bookings: u64,
    /// Bookings that were refused or given up although their event was not sold out for good: others held its last seats in vain.
    pub refused_too_early: u64,
    /// Bookings that were undone since their deadline had passed.
    pub timed_out: u64,
    /// Withdrawals that were taken back.
    pub refunded: u64,
    /// Seats that were reserved and released again ...
    pub held_in_vain: u64,
    /// ... and for how long each of them was; absent if there was none.
    pub held_for: Option<Quantiles>,
    /// From the beginning until each buyer knew.
    pub known_after: Quantiles,
}

impl SaleFigures {
    /// Buyers and orders that were left with nothing decided, or with the wrong thing.
    pub(crate) fn harmed(&self) -> u64 {
        self.charged_without_seat + self.seated_without_charge + self.unanswered + self.undecided
    }
}

impl Trouble {
    /// What happened meanwhile: `billing is killed`.
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::Nothing => "nothing happens",
            Self::BillingKilled => "billing is killed",
            Self::DeadlinesPass => "deadlines pass",
        }
    }
}
