//! The steps of a booking, as its client sees them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A step of a booking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// A seat is reserved.
    ReserveTicket,
    /// The price is withdrawn.
    WithdrawMoney,
    /// The seat is sold.
    ConfirmTicket,
}

/// How far a step has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// It was asked for.
    Pending,
    /// It is done.
    Done,
    /// It is refused.
    Refused,
    /// It is being undone.
    Compensating,
    /// It is undone, and will not be done again.
    Compensated,
}
