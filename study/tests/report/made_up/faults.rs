//! What was broken, made up: parts that are away, instances that are struck, mistakes.

use std::collections::BTreeMap;

use study::figures::{
    AnswerFigures, BookingsFigures, ChosenBy, DiscoveryFigures, MistakeFigures, OutageFigures, SaleFigures,
    Strike, StrikeFigures, Trouble,
};

use super::{Nature, quantiles};

pub(super) fn outage(nature: &Nature, part: &str) -> OutageFigures {
    let events = nature.messages > 0;
    let status_meanwhile = match (part, events) {
        ("notification", _) => 201,
        // Whoever passes orders on needs whoever takes them, however others are told.
        ("order", true) if nature.messages == 3 => 503,
        ("broker", _) | ("order" | "billing" | "database", false) => 503,
        _ => 202,
    };
    let placed_at = |number: u32| f64::from(number) * 0.1 - 3.0;
    let answer = |number: u32| {
        let placed_at_s = placed_at(number);
        let away = (0.0..5.0).contains(&placed_at_s);
        let jitter = 1.0 + f64::from(number * 7 % 10) / 20.0;
        let (status, answered_after_ms) = match (away, status_meanwhile) {
            (true, 503) => (if number.is_multiple_of(11) { 0 } else { 503 }, 60.0 * jitter),
            (true, 202) => (202, 5_000.0),
            (true, _) if !events => (201, 900.0 * jitter),
            _ => (201, nature.answer_ms * jitter),
        };
        AnswerFigures { placed_at_s, answered_after_ms, status, terminal_at_s: None }
    };
    let timeline: Vec<AnswerFigures> = (0..130).map(answer).collect();
    let meanwhile = |status: &[u16]| {
        let away = timeline.iter().filter(|it| (0.0..5.0).contains(&it.placed_at_s));
        away.filter(|it| status.contains(&it.status)).count() as u64
    };
    OutageFigures {
        part: part.to_owned(),
        away_s: 5.0,
        placed: meanwhile(&[201, 202, 503, 0]),
        paid_at_once: meanwhile(&[201]),
        accepted: meanwhile(&[202]),
        refused: meanwhile(&[503, 0]),
        answered_late: meanwhile(&[202]),
        finished_after_recovery: meanwhile(&[202]),
        lost: 0,
        charged_twice: 0,
        emailed_twice: 0,
        consistent_after_s: if events { 1.7 } else { 2.6 },
        timeline,
    }
}

/// Connections stick, so a balancer gives everything to one of two; callers that choose take both in turn.
pub(super) fn discovery(callers_choose: bool) -> Vec<DiscoveryFigures> {
    let balancer = DiscoveryFigures {
        chosen_by: ChosenBy::Balancer,
        orders_per_s: 50.0,
        share_of_calls: vec![1.0, 0.0],
        strikes: vec![
            strike((Strike::Killed, 20.0), 3, None),
            strike((Strike::Hung, 5.0), 41, None),
            strike((Strike::Drained, 5.0), 0, None),
        ],
    };
    let caller = DiscoveryFigures {
        chosen_by: ChosenBy::Caller,
        orders_per_s: 50.0,
        share_of_calls: vec![0.5, 0.5],
        strikes: vec![
            strike((Strike::Killed, 20.0), 0, Some(0.6)),
            strike((Strike::Hung, 5.0), 0, Some(0.2)),
            strike((Strike::Drained, 5.0), 0, Some(0.4)),
        ],
    };
    if callers_choose { vec![balancer, caller] } else { vec![balancer] }
}

fn strike((strike, away_s): (Strike, f64), failed: u64, share_after_s: Option<f64>) -> StrikeFigures {
    StrikeFigures {
        strike,
        away_s,
        placed: if strike == Strike::Killed { 1_000 } else { 250 },
        failed,
        accepted: 0,
        answered_late: failed,
        failed_otherwise: 0,
        share_after_s,
        watched_s: 8.0,
    }
}

/// A sale that comes out right, however it is disturbed.
pub(super) fn bookings() -> BookingsFigures {
    BookingsFigures {
        seats: 100,
        buyers: 1_000,
        without_money: 334,
        sales: vec![
            sale(Trouble::Nothing, (0.0, 30.0, 6.4), (0, 0), 52.0),
            sale(Trouble::BillingKilled, (3.2, 30.0, 9.1), (0, 0), 3_300.0),
            sale(Trouble::DeadlinesPass, (6.1, 5.0, 12.5), (100, 64), 5_400.0),
        ],
    }
}

fn sale(
    trouble: Trouble,
    (billing_away_s, deadline_s, took_s): (f64, f64, f64),
    (timed_out, refunded): (u64, u64),
    held_ms: f64,
) -> SaleFigures {
    SaleFigures {
        trouble,
        billing_away_s,
        deadline_s,
        took_s,
        sold: 100,
        charged_without_seat: 0,
        seated_without_charge: 0,
        unanswered: 0,
        undecided: 0,
        bookings: 3_120,
        refused_too_early: 2_120,
        timed_out,
        refunded,
        held_in_vain: 50 + timed_out,
        held_for: Some(quantiles(held_ms)),
        known_after: quantiles(took_s * 900.0),
    }
}

pub(super) fn mistake() -> MistakeFigures {
    MistakeFigures {
        mistake: "dual write".to_owned(),
        style: "event-collab".to_owned(),
        about: "The event is published after the commit, not with it: whoever dies in between has changed its data and told nobody."
            .to_owned(),
        sound_lines: "outbox.append(&mut tx, &cause, said).await?;\ntx.commit().await?;".to_owned(),
        wrong_lines: "tx.commit().await?;\nproducer.publish(said, &cause).await?;".to_owned(),
        requests: 1_200,
        damage: BTreeMap::from([("an order stays pending".to_owned(), 9), ("a replica is behind its source".to_owned(), 4)]),
        examples: vec!["order 17 is pending, and its withdrawal was never asked for".to_owned()],
        damage_when_sound: BTreeMap::new(),
    }
}
