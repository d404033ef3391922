//! The saga of an order: every pair of a state and something that may happen there, and any order of arrival.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use command_reply::messages::Contact;
use command_reply::saga::{Command as C, Happened as H, State as S, Turn, begin, next};
use domain::{Refusal, Settlement, TicketId};

const POOR: Refusal = Refusal::InsufficientFunds;
const GONE: Refusal = Refusal::SoldOut;
const NOBODY: Refusal = Refusal::AccountNotFound;
const CANCELLED: Refusal = Refusal::Cancelled;

const RESERVED: H = H::TicketReserved(TicketId(1));

/// Somebody's address.
fn ann() -> Contact {
    "ann@example.org".parse().unwrap()
}

fn everything() -> [H; 10] {
    [
        RESERVED,
        H::TicketRefused(GONE),
        H::TicketConfirmed,
        H::TicketReleased,
        H::MoneyWithdrawn(Some(ann())),
        H::WithdrawalRefused(POOR, Some(ann())),
        H::WithdrawalCancelled(Some(ann())),
        H::WithdrawalCancelled(None),
        H::GivenUp(CANCELLED),
        H::GivenUp(Refusal::TimedOut),
    ]
}

fn turn(state: S, commands: &[C]) -> Turn {
    Turn::to(state, commands)
}

fn undoing(why: Refusal, money: bool, ticket: bool) -> S {
    S::Undoing { why, money, ticket }
}

fn states() -> Vec<S> {
    let undone = [(true, true), (true, false), (false, true)];
    let undone = undone.map(|(money, ticket)| undoing(CANCELLED, money, ticket));
    [S::Reserving, S::Withdrawing, S::Confirming, S::Ended].into_iter().chain(undone).collect()
}

fn rejected(why: Refusal) -> Turn {
    turn(S::Ended, &[]).ending(Settlement::Rejected(why))
}

/// The turns of a booking; whatever else happens anywhere changes nothing.
fn turns_of_a_booking() -> Vec<(S, H, Turn)> {
    let both = [C::CancelWithdrawal, C::ReleaseTicket];
    let given_up = |state, why| (state, H::GivenUp(why), turn(undoing(why, true, true), &both));
    let cancelled = |exists: bool| H::WithdrawalCancelled(exists.then(ann));
    let withdrawing = turn(S::Withdrawing, &[C::WithdrawMoney]);
    let asking_for_the_address = turn(undoing(GONE, true, false), &[C::CancelWithdrawal]);
    let releasing = turn(undoing(POOR, false, true), &[C::ReleaseTicket]);
    let paid = turn(S::Confirming, &[C::ConfirmTicket]).ending(Settlement::Paid);
    vec![
        (S::Reserving, RESERVED, withdrawing),
        (S::Reserving, H::TicketRefused(GONE), asking_for_the_address),
        given_up(S::Reserving, CANCELLED),
        given_up(S::Reserving, Refusal::TimedOut),
        (S::Withdrawing, H::MoneyWithdrawn(Some(ann())), paid),
        (S::Withdrawing, H::WithdrawalRefused(POOR, Some(ann())), releasing),
        given_up(S::Withdrawing, CANCELLED),
        given_up(S::Withdrawing, Refusal::TimedOut),
        (S::Confirming, H::TicketConfirmed, turn(S::Ended, &[])),
        (undoing(CANCELLED, true, true), cancelled(true), turn(undoing(CANCELLED, false, true), &[])),
        (undoing(CANCELLED, true, true), cancelled(false), turn(undoing(NOBODY, false, true), &[])),
        (undoing(CANCELLED, true, true), H::TicketReleased, turn(undoing(CANCELLED, true, false), &[])),
        (undoing(CANCELLED, true, false), cancelled(true), rejected(CANCELLED)),
        (undoing(CANCELLED, true, false), cancelled(false), rejected(NOBODY)),
        (undoing(CANCELLED, false, true), H::TicketReleased, rejected(CANCELLED)),
    ]
}

fn turns_of_an_order() -> Vec<(S, H, Turn)> {
    vec![
        (S::Withdrawing, H::MoneyWithdrawn(Some(ann())), turn(S::Ended, &[]).ending(Settlement::Paid)),
        (S::Withdrawing, H::WithdrawalRefused(POOR, Some(ann())), rejected(POOR)),
    ]
}

#[test]
fn every_state_knows_what_to_do_with_everything_that_may_happen_and_ignores_the_rest() {
    let turns = turns_of_a_booking();
    for state in states() {
        for happened in everything() {
            let expected = turns.iter().find(|(from, what, _)| (from, what) == (&state, &happened));
            let expected = expected.map(|(.., turn)| turn.clone());
            assert_eq!(next(state, true, &happened), expected, "{state:?}, {happened:?}");
        }
    }
}

/// It never reserves, so nothing about tickets concerns it, and it holds nothing that giving up would free.
#[test]
fn an_order_without_a_ticket_is_decided_by_its_money_alone() {
    for state in [S::Withdrawing, S::Ended] {
        for happened in everything() {
            let turns = turns_of_an_order();
            let expected = turns.into_iter().find(|(from, what, _)| (from, what) == (&state, &happened));
            assert_eq!(next(state, false, &happened), expected.map(|it| it.2), "{state:?}, {happened:?}");
        }
    }
}

#[test]
fn what_is_told_twice_changes_nothing_the_second_time() {
    for (state, happened, turn) in turns_of_a_booking() {
        assert_eq!(next(turn.state, true, &happened), None, "{state:?}, {happened:?}");
    }
}

/// In any order of arrival, with everything told twice, a booking ends once, and what it has asked for is undone unless it is paid.
#[test]
fn however_replies_and_a_cancellation_are_mixed_the_saga_ends_once_and_holds_nothing() {
    for seed in 0..2000 {
        let mut dice = fastrand::Rng::with_seed(seed);
        let (mut state, mut ends, mut asked) = (begin(true).state, Vec::new(), begin(true).commands);
        let mut coming = vec![H::GivenUp(CANCELLED)];
        let mut told = 0;
        while told < asked.len() || !coming.is_empty() {
            // Participants answer what they were asked, at any time, and each answer may come again.
            for command in &asked[told..] {
                let answer = answer(*command, &mut dice);
                coming.extend([answer.clone(), answer]);
            }
            told = asked.len();
            let happened = coming.swap_remove(dice.usize(..coming.len()));
            if let Some(turn) = next(state, true, &happened) {
                state = turn.state;
                ends.extend(turn.end);
                asked.extend(turn.commands);
            }
        }
        assert_eq!(state, S::Ended, "seed {seed}");
        assert_eq!(ends.len(), 1, "seed {seed}: {ends:?}");
        let holds_a_seat = !asked.contains(&C::ReleaseTicket) && !ends.contains(&Settlement::Rejected(GONE));
        assert_eq!(holds_a_seat, ends == [Settlement::Paid], "seed {seed}: {ends:?} after {asked:?}");
        assert_eq!(asked.contains(&C::ConfirmTicket), ends == [Settlement::Paid], "seed {seed}");
    }
}

fn answer(command: C, dice: &mut fastrand::Rng) -> H {
    match command {
        C::ReserveTicket if dice.bool() => RESERVED,
        C::ReserveTicket => H::TicketRefused(GONE),
        C::WithdrawMoney if dice.bool() => H::MoneyWithdrawn(Some(ann())),
        C::WithdrawMoney => H::WithdrawalRefused(POOR, Some(ann())),
        C::ConfirmTicket => H::TicketConfirmed,
        C::CancelWithdrawal => H::WithdrawalCancelled(Some(ann())),
        C::ReleaseTicket => H::TicketReleased,
    }
}
