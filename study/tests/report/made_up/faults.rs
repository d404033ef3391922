//! What was broken, made up: parts that are away, instances that are struck, mistakes.

use std::collections::BTreeMap;

use study::figures::{
    AnswerFigures, ChosenBy, DiscoveryFigures, MistakeFigures, OutageFigures, Strike, StrikeFigures,
};

use super::Nature;

pub(super) fn outage(nature: &Nature, part: &str) -> OutageFigures {
    let events = nature.messages > 0;
    let status_meanwhile = match (part, events) {
        ("notification", _) => 201,
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
