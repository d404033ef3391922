//! Who answers the calls: what each instance counts at `/metrics`, looked at a few times a second.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use lab::running::scrape;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use url::Url;

use crate::experiment::orders::now_s;

/// How often instances are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long one may take to answer. One that is away does not.
const ANSWER_MAX: Duration = Duration::from_millis(200);
/// An instance has its share when it answers this part of the calls of a second. Of two that are chosen in turn it is a half.
const SHARE: f64 = 0.4;
const SECOND: f64 = 1.0;

/// What was seen at one moment.
#[derive(Clone, Debug)]
pub(super) struct Look {
    /// In seconds since 1970.
    pub(super) at_s: f64,
    /// Calls that each instance has answered since the watch began, as far as it was heard.
    pub(super) answered: Vec<f64>,
}

/// Looks on until it is dropped.
pub(super) struct Watch {
    looks: Arc<Mutex<Vec<Look>>>,
    _looking: JoinSet<()>,
}

impl Watch {
    /// Watches the instances at `urls`, which count under the metric and the label of `counted`.
    pub(super) fn begin(urls: Vec<Url>, counted: (&'static str, &'static str)) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(ANSWER_MAX).build()?;
        let looks: Arc<Mutex<Vec<Look>>> = Arc::default();
        let (seen, mut looking) = (Arc::clone(&looks), JoinSet::new());
        looking.spawn(async move {
            let mut counters = vec![Counter::default(); urls.len()];
            let mut ticks = interval(LOOK_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let at_s = now_s();
                let told = join_all(urls.iter().map(|url| ask(&http, url, counted))).await;
                counters.iter_mut().zip(told).for_each(|(counter, told)| counter.hear(told));
                let answered = counters.iter().map(|counter| counter.counted).collect();
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(Look { at_s, answered });
            }
        });
        Ok(Self { looks, _looking: looking })
    }

    /// All that was seen so far.
    pub(super) fn looks(&self) -> Vec<Look> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn ask(http: &reqwest::Client, url: &Url, (metric, label): (&str, &str)) -> Option<f64> {
    let metrics = timeout(ANSWER_MAX, scrape::of(http, url)).await.ok()?.ok()?;
    Some(metrics.sum_where(metric, label))
}

/// Counts on where an instance begins anew.
#[derive(Clone, Debug, Default)]
struct Counter {
    last: Option<f64>,
    counted: f64,
}

impl Counter {
    fn hear(&mut self, told: Option<f64>) {
        let Some(told) = told else { return };
        // The first time it tells of what was before.
        let last = self.last.replace(told).unwrap_or(told);
        self.counted += if told < last { told } else { told - last };
    }
}

/// How many calls each instance answered between two moments.
pub(super) fn answered(looks: &[Look], from_s: f64, to_s: f64) -> Vec<f64> {
    let first = looks.iter().find(|look| look.at_s >= from_s);
    let last = looks.iter().rfind(|look| look.at_s <= to_s);
    first.zip(last).map_or_else(Vec::new, |(first, last)| between(first, last))
}

fn between(first: &Look, last: &Look) -> Vec<f64> {
    first.answered.iter().zip(&last.answered).map(|(before, after)| (after - before).max(0.0)).collect()
}

/// Each part of a whole; nothing if there is no whole.
pub(super) fn shares(answered: &[f64]) -> Vec<f64> {
    let all: f64 = answered.iter().sum();
    if all > 0.0 { answered.iter().map(|part| part / all).collect() } else { Vec::new() }
}

/// From `since_s` until the first second in which the instance had its share.
pub(super) fn share_after_s(looks: &[Look], which: usize, since_s: f64) -> Option<f64> {
    let has_share = |first: &&Look| {
        let last = looks.iter().find(|look| look.at_s >= first.at_s + SECOND);
        let share = last.and_then(|last| shares(&between(first, last)).get(which).copied());
        share.is_some_and(|share| share >= SHARE)
    };
    let first = looks.iter().filter(|look| look.at_s >= since_s).find(has_share)?;
    Some(first.at_s - since_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks every half of a second; at each, what the two answered since the one before.
    fn looks(answers: &[(f64, f64)]) -> Vec<Look> {
        let mut sums = (0.0, 0.0);
        let mut looks = vec![Look { at_s: 0.0, answered: vec![0.0, 0.0] }];
        let mut at_s = 0.0;
        for (one, other) in answers {
            sums = (sums.0 + one, sums.1 + other);
            at_s += 0.5;
            looks.push(Look { at_s, answered: vec![sums.0, sums.1] });
        }
        looks
    }

    fn close(one: &[f64], other: &[f64]) -> bool {
        one.len() == other.len() && one.iter().zip(other).all(|(a, b)| (a - b).abs() < 1e-9)
    }

    #[test]
    fn an_instance_that_begins_anew_is_counted_on_and_one_that_is_silent_has_done_nothing() {
        let mut counter = Counter::default();
        for told in [Some(100.0), Some(130.0), None, None, Some(20.0), Some(25.0)] {
            counter.hear(told);
        }
        assert!((counter.counted - (30.0 + 20.0 + 5.0)).abs() < 1e-9, "{counter:?}");
    }

    #[test]
    fn answers_are_counted_between_two_moments() {
        let looks = looks(&[(1.0, 9.0), (2.0, 8.0), (3.0, 7.0), (4.0, 6.0)]);
        assert!(close(&answered(&looks, 0.0, 2.0), &[10.0, 30.0]));
        assert!(close(&answered(&looks, 0.4, 1.6), &[5.0, 15.0]));
        assert!(close(&shares(&[5.0, 15.0]), &[0.25, 0.75]));
        assert!(shares(&[0.0, 0.0]).is_empty() && answered(&[], 0.0, 1.0).is_empty());
    }

    #[test]
    fn a_share_is_there_from_the_first_whole_second_that_has_it() {
        let nothing = (50.0, 0.0);
        let comes_back = looks(&[nothing, nothing, nothing, (45.0, 5.0), (25.0, 25.0), (25.0, 25.0)]);
        // From 1.5 on it is 30 of 100, from 2.0 on 50 of 100.
        assert_eq!(share_after_s(&comes_back, 1, 0.5), Some(1.5));
        assert_eq!(share_after_s(&comes_back, 1, 2.0), Some(0.0));
        assert_eq!(share_after_s(&looks(&[nothing; 6]), 1, 0.5), None);
        // Half of a second is none.
        assert_eq!(share_after_s(&looks(&[nothing, nothing, (0.0, 50.0)]), 1, 1.0), None);
        assert_eq!(share_after_s(&looks(&[(0.0, 0.0); 6]), 1, 0.0), None);
    }
}
