//! The saga of an order: a pure function of where it stands and what has happened, which says where it stands then and what is to
//! be done. No database, no messages: [`order`](crate::order) stores and says what is decided here.
//!
//! ```text
//! an order:     Withdrawing -> Ended
//! a booking:    Reserving -> Withdrawing -> Confirming -> Ended
//! not to be:    Reserving | Withdrawing -> Undoing -> Ended
//! ```
//!
//! The seat is reserved first, since that can be taken back. The withdrawal is the pivot: an order whose money is withdrawn in time
//! is paid, and what comes after it is repeated until it is done. An order is rejected when nothing of it is left anywhere.

use domain::{Progress, Refusal, Settlement, Step, TicketId};
use serde::{Deserialize, Serialize};

use crate::messages::Contact;

/// Where a saga stands: what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the variant's text says it")]
pub enum State {
    /// For the seat.
    Reserving,
    /// For the money.
    Withdrawing,
    /// For the seat to be sold. The order is paid.
    Confirming,
    /// For everything to be undone that may have been done: the withdrawal and the reservation, as far as they are awaited.
    Undoing { why: Refusal, money: bool, ticket: bool },
    /// For nothing.
    Ended,
}

/// What has happened: a reply, or somebody's decision to give up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are named as the replies")]
pub enum Happened {
    TicketReserved(TicketId),
    TicketRefused(Refusal),
    TicketConfirmed,
    TicketReleased,
    MoneyWithdrawn(Option<Contact>),
    WithdrawalRefused(Refusal, Option<Contact>),
    WithdrawalCancelled(Option<Contact>),
    /// The client has cancelled, or the deadline has passed.
    GivenUp(Refusal),
}

/// What a participant is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are named as the commands")]
pub enum Command {
    ReserveTicket,
    WithdrawMoney,
    ConfirmTicket,
    CancelWithdrawal,
    ReleaseTicket,
}

/// What something that happened leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Where the saga stands now.
    pub state: State,
    /// What is asked of the participants.
    pub commands: Vec<Command>,
    /// The order ends so.
    pub end: Option<Settlement>,
}

/// The beginning of a saga, with or without a ticket.
pub fn begin(with_ticket: bool) -> Turn {
    if with_ticket {
        Turn::to(State::Reserving, &[Command::ReserveTicket])
    } else {
        Turn::to(State::Withdrawing, &[Command::WithdrawMoney])
    }
}

/// What follows when something happens to a saga, with or without a ticket, that stands there. `None`: nothing, since it is told a
/// second time, or too late.
pub fn next(state: State, with_ticket: bool, happened: &Happened) -> Option<Turn> {
    use {Command as C, Happened as H, State as S};
    Some(match (state, happened) {
        (S::Reserving, H::TicketReserved(_)) => Turn::to(S::Withdrawing, &[C::WithdrawMoney]),
        // Nothing was withdrawn. But it is billing that knows whom to write to, and with this it is asked.
        (S::Reserving, H::TicketRefused(why)) => {
            Turn::to(S::Undoing { why: *why, money: true, ticket: false }, &[C::CancelWithdrawal])
        }
        (S::Withdrawing, H::MoneyWithdrawn(_)) if with_ticket => {
            Turn::to(S::Confirming, &[C::ConfirmTicket]).ending(Settlement::Paid)
        }
        (S::Withdrawing, H::MoneyWithdrawn(_)) => Turn::to(S::Ended, &[]).ending(Settlement::Paid),
        (S::Withdrawing, H::WithdrawalRefused(why, _)) if with_ticket => {
            Turn::to(S::Undoing { why: *why, money: false, ticket: true }, &[C::ReleaseTicket])
        }
        (S::Withdrawing, H::WithdrawalRefused(why, _)) => {
            Turn::to(S::Ended, &[]).ending(Settlement::Rejected(*why))
        }
        (S::Confirming, H::TicketConfirmed) => Turn::to(S::Ended, &[]),
        // Both at once, whatever was done of it: no seat is held because billing is away. Undoing commutes with what it undoes,
        // so it does not matter which of the two arrives first.
        (S::Reserving | S::Withdrawing, H::GivenUp(why)) if with_ticket => {
            let undo = [C::CancelWithdrawal, C::ReleaseTicket];
            Turn::to(S::Undoing { why: *why, money: true, ticket: true }, &undo)
        }
        (S::Undoing { why, money: true, ticket }, H::WithdrawalCancelled(contact)) => {
            // Of nobody there is nothing else to say.
            let why = if contact.is_some() { why } else { Refusal::AccountNotFound };
            undoing(why, false, ticket)
        }
        (S::Undoing { why, money, ticket: true }, H::TicketReleased) => undoing(why, money, false),
        _ => return None,
    })
}

/// What is still to be undone; with nothing left, the end.
fn undoing(why: Refusal, money: bool, ticket: bool) -> Turn {
    if money || ticket {
        Turn::to(State::Undoing { why, money, ticket }, &[])
    } else {
        Turn::to(State::Ended, &[]).ending(Settlement::Rejected(why))
    }
}

impl Turn {
    /// To `state`, with `commands`.
    pub fn to(state: State, commands: &[Command]) -> Self {
        Self { state, commands: commands.to_vec(), end: None }
    }

    /// The same, and the order ends.
    #[must_use]
    pub fn ending(self, settlement: Settlement) -> Self {
        Self { end: Some(settlement), ..self }
    }
}

impl State {
    /// Whether the client or the deadline can still make a saga give up that stands here.
    pub fn may_be_given_up(self) -> bool {
        matches!(self, Self::Reserving | Self::Withdrawing)
    }
}

impl Command {
    /// The step that it begins or undoes.
    pub fn progress(self) -> (Step, Progress) {
        match self {
            Self::ReserveTicket => (Step::ReserveTicket, Progress::Pending),
            Self::WithdrawMoney => (Step::WithdrawMoney, Progress::Pending),
            Self::ConfirmTicket => (Step::ConfirmTicket, Progress::Pending),
            Self::CancelWithdrawal => (Step::WithdrawMoney, Progress::Compensating),
            Self::ReleaseTicket => (Step::ReserveTicket, Progress::Compensating),
        }
    }
}

impl Happened {
    /// What it says of a step.
    pub fn progress(&self) -> Option<(Step, Progress)> {
        Some(match self {
            Self::TicketReserved(_) => (Step::ReserveTicket, Progress::Done),
            Self::TicketRefused(_) => (Step::ReserveTicket, Progress::Refused),
            Self::TicketConfirmed => (Step::ConfirmTicket, Progress::Done),
            Self::TicketReleased => (Step::ReserveTicket, Progress::Compensated),
            Self::MoneyWithdrawn(_) => (Step::WithdrawMoney, Progress::Done),
            Self::WithdrawalRefused(..) => (Step::WithdrawMoney, Progress::Refused),
            Self::WithdrawalCancelled(_) => (Step::WithdrawMoney, Progress::Compensated),
            Self::GivenUp(_) => return None,
        })
    }
}
