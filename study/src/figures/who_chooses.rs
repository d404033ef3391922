//! The answer to "who should choose between the instances of a service?", in one sentence, as the figures have it.

use std::fmt::Write as _;

use super::units::{list, percent, seconds};
use super::{ChosenBy, DiscoveryFigures, Report, Strike, StrikeFigures};

/// Shares of the calls that differ by less are those of two runs of the same.
const SHARE_NOISE: f64 = 0.05;
/// So are parts of the orders that fail: one in a thousand.
const FAILED_NOISE: f64 = 0.001;
/// And times until an instance has its share again, in seconds.
const RETURN_NOISE_S: f64 = 1.0;

/// A style in which it was tried both ways, and what came of each.
struct Both<'a> {
    style: &'a str,
    balancer: &'a DiscoveryFigures,
    caller: &'a DiscoveryFigures,
}

/// How callers do beside a balancer.
#[derive(Clone, Copy, Default)]
struct Judgement {
    better: bool,
    worse: bool,
}

/// The sentence; `None` if no style was tried.
pub(crate) fn answer(report: &Report) -> Option<String> {
    let both: Vec<Both<'_>> = report.styles.iter().filter_map(Both::of).collect();
    let left_alone: Vec<String> = report.styles.iter().filter_map(left_to_the_platform).collect();
    let verdict = both.iter().map(Both::judge).reduce(Judgement::and).map(Judgement::in_words);
    let mut told: Vec<String> = both.iter().map(Both::told).collect();
    told.extend(left_alone);
    let told = told.join("; ");
    match verdict {
        Some(verdict) => Some(format!("{verdict}: {told}.")),
        None => (!told.is_empty()).then(|| format!("Here nobody but the platform can choose: {told}.")),
    }
}

/// Of a style whose callers know one address.
fn left_to_the_platform(style: &super::StyleFigures) -> Option<String> {
    let balancer = style.discovery_by(ChosenBy::Balancer)?;
    style.discovery_by(ChosenBy::Caller).is_none().then(|| {
        format!(
            "{}, which leaves the choice to the platform, had {} of its calls answered by one of two instances behind a \
             balancer of connections",
            style.style,
            percent(balancer.largest_share().unwrap_or_default()),
        )
    })
}

impl<'a> Both<'a> {
    fn of(style: &'a super::StyleFigures) -> Option<Self> {
        let balancer = style.discovery_by(ChosenBy::Balancer)?;
        let caller = style.discovery_by(ChosenBy::Caller)?;
        Some(Self { style: &style.style, balancer, caller })
    }

    fn judge(&self) -> Judgement {
        let mut judgement = Judgement::default();
        let mut compare = |balancer: Option<f64>, caller: Option<f64>, noise: f64| {
            if let Some((balancer, caller)) = balancer.zip(caller) {
                judgement.better |= caller < balancer - noise;
                judgement.worse |= caller > balancer + noise;
            }
        };
        compare(self.balancer.largest_share(), self.caller.largest_share(), SHARE_NOISE);
        for strike in [Strike::Killed, Strike::Hung, Strike::Drained] {
            let (balancer, caller) = (self.balancer.strike(strike), self.caller.strike(strike));
            let failed = |it: Option<&StrikeFigures>| it.and_then(StrikeFigures::failed_share);
            compare(failed(balancer), failed(caller), FAILED_NOISE);
            // Never is later than any time.
            let returned =
                |it: Option<&StrikeFigures>| it.map(|it| it.share_after_s.unwrap_or(f64::INFINITY));
            compare(returned(balancer), returned(caller), RETURN_NOISE_S);
        }
        judgement
    }

    fn told(&self) -> String {
        let share = |it: &DiscoveryFigures| percent(it.largest_share().unwrap_or_default());
        let mut told = format!(
            "of two instances in {}, one answered {} of the calls behind a balancer of connections and {} where callers chose",
            self.style,
            share(self.balancer),
            share(self.caller),
        );
        let both = |strike| self.balancer.strike(strike).zip(self.caller.strike(strike));
        for (strike, when) in [(Strike::Killed, "when it was killed"), (Strike::Hung, "while it hung")] {
            if let Some((balancer, caller)) = both(strike) {
                let failed = [balancer, caller].map(|it| percent(it.failed_share().unwrap_or_default()));
                let _ = write!(told, ", {} of the orders failed {when}", list(&failed));
            }
        }
        if let Some((balancer, caller)) = both(Strike::Killed) {
            let share = [balancer, caller].map(share_again);
            let _ = write!(told, ", and started again it had its share {}", list(&share));
        }
        told
    }
}

impl Judgement {
    fn and(self, other: Self) -> Self {
        Self { better: self.better || other.better, worse: self.worse || other.worse }
    }

    fn in_words(self) -> &'static str {
        match (self.better, self.worse) {
            (true, false) => "Let callers choose",
            (false, true) => "Let a balancer choose",
            (true, true) => "Neither way is better in everything",
            (false, false) => "It makes no difference who chooses",
        }
    }
}

/// When an instance that is back has its share: `after 0.30 s`, `not within 8.0 s`.
pub(crate) fn share_again(strike: &StrikeFigures) -> String {
    match strike.share_after_s {
        Some(after_s) => format!("after {}", seconds(after_s)),
        None => format!("not within {}", seconds(strike.watched_s)),
    }
}
