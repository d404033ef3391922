//! What must hold, in every style, and what is said where it does not.

/// Something that must hold at rest: when faults are over and every process is back. Some of it must hold at any moment, and
/// is watched while everything runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invariant {
    /// Deposits less withdrawals are the balances; every balance equals its ledger and was never negative; the ledger has
    /// exactly the movements that requests led to. At any moment.
    Money,
    /// A withdrawal for an order, of which a refund takes back the whole, exists exactly when the order is paid; at most one per
    /// order, at any moment. A terminal status never changes.
    Withdrawals,
    /// Nothing is left to do: no order pending, no email on its way or parked, no order unfinished, outboxes empty, every
    /// message consumed; dead letters hold only what was sent on purpose.
    NothingLeft,
    /// Every acknowledged creation exists.
    Promises,
    /// Exactly one email per terminal order of a known user, matching the outcome; received under one Message-ID, in more
    /// than one copy only where a delivery broke off.
    Emails,
    /// Replicas have their source's version and content; per topic and subject the version never decreases.
    Replicas,
    /// Where there are bookings: free, reserved and sold seats are the capacity, and none is negative, at any moment. At rest
    /// nothing is reserved, and a seat is sold exactly when its booking is paid.
    Seats,
    /// No database session sits idle in a transaction. At any moment.
    Sessions,
}

impl std::fmt::Display for Invariant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Money => "money",
            Self::Withdrawals => "withdrawals",
            Self::NothingLeft => "nothing left to do",
            Self::Promises => "promises",
            Self::Emails => "emails",
            Self::Replicas => "replicas",
            Self::Seats => "seats",
            Self::Sessions => "sessions",
        })
    }
}

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// What was found, with the rows' ids.
    pub what: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}
