//! What an outage did, counted from what clients saw and from what became of their orders.

use std::collections::HashMap;

use domain::RequestId;

use super::fates::Fate;
use super::orders::Placed;
use crate::figures::{AnswerFigures, OutageFigures};

/// From when on an answer is late, in seconds.
pub(super) const LATE_S: f64 = 1.0;

/// When a part was away, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Away {
    pub(crate) from_s: f64,
    pub(crate) to_s: f64,
}

/// An order and what became of it.
pub(crate) struct Told<'a> {
    pub(crate) placed: &'a Placed,
    /// There is none of an order that nobody knows.
    pub(crate) fate: Option<&'a Fate>,
    /// Copies of emails about it in the mailbox, if that can be read.
    pub(crate) copies: i64,
}

/// Puts together what is known of each order. `copies` by `Message-ID`.
pub(crate) fn told<'a>(
    placed: &'a [Placed],
    fates: &'a HashMap<RequestId, Fate>,
    copies: &HashMap<String, i64>,
) -> Vec<Told<'a>> {
    let one = |placed: &'a Placed| {
        let fate = fates.get(&placed.request);
        let message_id = fate.and_then(|fate| fate.message_id.as_ref());
        Told { placed, fate, copies: message_id.and_then(|id| copies.get(id).copied()).unwrap_or(0) }
    };
    placed.iter().map(one).collect()
}

impl Told<'_> {
    fn terminal_at_s(&self) -> Option<f64> {
        self.fate?.terminal_at_s
    }

    /// When there was nothing left to do about it.
    fn done_at_s(&self) -> Option<f64> {
        let fate = self.fate?;
        Some(fate.terminal_at_s?.max(fate.emailed_at_s?))
    }
}

/// Counts. `part` was away, and `orders` were placed before, meanwhile and afterwards.
pub(crate) fn count(part: &str, away: Away, orders: &[Told<'_>]) -> OutageFigures {
    let meanwhile: Vec<&Told> = orders
        .iter()
        .filter(|it| it.placed.due_at_s >= away.from_s && it.placed.due_at_s < away.to_s)
        .collect();
    let placed = |is: &dyn Fn(&Told) -> bool| number(meanwhile.iter().filter(|it| is(it)).count());
    let ever = |is: &dyn Fn(&Told) -> bool| number(orders.iter().filter(|it| is(it)).count());
    let until_return = orders.iter().filter(|it| it.placed.due_at_s < away.to_s);
    let consistent_at_s = until_return.filter_map(Told::done_at_s).fold(away.to_s, f64::max);
    OutageFigures {
        part: part.to_owned(),
        away_s: away.to_s - away.from_s,
        placed: number(meanwhile.len()),
        paid_at_once: placed(&|it| it.placed.status == 201),
        accepted: placed(&|it| it.placed.status == 202),
        refused: placed(&|it| it.placed.status == 0 || it.placed.status >= 500),
        answered_late: placed(&|it| it.placed.answered_after.as_secs_f64() > LATE_S),
        finished_after_recovery: placed(&|it| it.terminal_at_s().is_some_and(|at_s| at_s >= away.to_s)),
        lost: ever(&|it| it.placed.is_acknowledged() && it.terminal_at_s().is_none()),
        charged_twice: ever(&|it| it.fate.is_some_and(|fate| fate.charges > 1)),
        emailed_twice: ever(&|it| it.copies > 1 || it.fate.is_some_and(|fate| fate.emails > 1)),
        consistent_after_s: consistent_at_s - away.to_s,
        timeline: orders.iter().map(|it| answer(away, it)).collect(),
    }
}

fn answer(away: Away, order: &Told<'_>) -> AnswerFigures {
    AnswerFigures {
        placed_at_s: order.placed.due_at_s - away.from_s,
        answered_after_ms: order.placed.answered_after.as_secs_f64() * 1e3,
        status: order.placed.status,
        terminal_at_s: order.terminal_at_s().map(|at_s| at_s - away.from_s),
    }
}

fn number(count: usize) -> u64 {
    count as u64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use lab::driving::Api;

    fn placed(due_at_s: f64, status: u16, answered_after_s: f64) -> Placed {
        Placed {
            request: Api::order_request(&format!("at {due_at_s}")),
            due_at_s,
            answered_after: Duration::from_secs_f64(answered_after_s),
            status,
        }
    }

    fn fate(terminal_at_s: f64, emailed_at_s: f64, charges: i64) -> Fate {
        let (terminal_at_s, emailed_at_s) = (Some(terminal_at_s), Some(emailed_at_s));
        Fate { terminal_at_s, emailed_at_s, charges, emails: 1, ..Fate::default() }
    }

    #[test]
    fn an_outage_is_counted_from_answers_and_rows() {
        let orders = [
            // Before; its email is late.
            (placed(99.0, 201, 0.1), Some(fate(99.1, 106.0, 1)), 1),
            // Decided at once, accepted and decided later, refused, and without an answer but done all the same.
            (placed(100.0, 201, 0.1), Some(fate(100.1, 100.2, 1)), 1),
            (placed(101.0, 202, 5.0), Some(fate(107.5, 107.9, 1)), 1),
            (placed(102.0, 503, 0.1), None, 0),
            (placed(103.0, 0, 40.0), Some(fate(107.0, 107.1, 2)), 2),
            // Promised, and nowhere.
            (placed(104.0, 202, 0.1), None, 0),
            // Afterwards: what it still waits for does not count.
            (placed(106.0, 201, 0.1), Some(fate(106.1, 120.0, 1)), 1),
        ];
        let told: Vec<Told> = orders
            .iter()
            .map(|(placed, fate, copies)| Told { placed, fate: fate.as_ref(), copies: *copies })
            .collect();
        let found = count("billing", Away { from_s: 100.0, to_s: 105.0 }, &told);
        let numbers = [
            found.placed,
            found.paid_at_once,
            found.accepted,
            found.refused,
            found.answered_late,
            found.finished_after_recovery,
            found.lost,
            found.charged_twice,
            found.emailed_twice,
        ];
        assert_eq!(numbers, [5, 1, 2, 2, 2, 2, 1, 1, 1]);
        assert!((found.away_s - 5.0).abs() < 1e-9);
        assert!((found.consistent_after_s - 2.9).abs() < 1e-9, "{}", found.consistent_after_s);
        assert_eq!(found.timeline.len(), 7);
        assert!((found.timeline[0].placed_at_s + 1.0).abs() < 1e-9);
        assert!(found.timeline[3].terminal_at_s.is_none());
    }

    #[test]
    fn what_was_done_before_the_return_took_no_time_after_it() {
        let (order, done) = (placed(100.5, 201, 0.1), fate(100.6, 100.7, 1));
        let told = [Told { placed: &order, fate: Some(&done), copies: 1 }];
        let found = count("notification", Away { from_s: 100.0, to_s: 105.0 }, &told);
        assert!(found.consistent_after_s.abs() < 1e-9);
    }
}
