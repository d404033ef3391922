//! Two instances of a service: who answers the calls, and what clients see when one instance is struck.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Two instances of billing under a steady load.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct DiscoveryFigures {
    /// Who chooses the instance.
    pub chosen_by: ChosenBy,
    /// Orders that fall due per second. Each makes two calls of billing, by the order service alone.
    pub orders_per_s: f64,
    /// Which part of the calls each instance answers while nothing happens, the largest first.
    pub share_of_calls: Vec<f64>,
    /// What happened to an instance, one after the other: each time to the one that answered most of the calls.
    pub strikes: Vec<StrikeFigures>,
}

/// Who chooses the instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ChosenBy {
    /// A balancer in between, for each connection, in turn.
    Balancer,
    /// The caller, for each call. It is told all addresses.
    Caller,
}

/// What happens to an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strike {
    /// `kill -9`. It is started again later.
    Killed,
    /// SIGSTOP, and SIGCONT later.
    Hung,
    /// SIGTERM. It is started again later.
    Drained,
}

/// An instance was struck, orders went on, and it came back.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct StrikeFigures {
    /// How.
    pub strike: Strike,
    /// From then until it was ready again.
    pub away_s: f64,
    /// Orders that were placed while it was away.
    pub placed: u64,
    /// Orders among them that were answered with a 5xx, or not at all.
    pub failed: u64,
    /// Orders among them that were answered with 202: they are decided later.
    pub accepted: u64,
    /// Orders among them that were answered after more than a second, however they were.
    pub answered_late: u64,
    /// Orders that failed before it and after it.
    pub failed_otherwise: u64,
    /// From when it was ready again until the first second in which it answered at least two fifths of the calls. Absent if there
    /// was none.
    pub share_after_s: Option<f64>,
    /// How long that was waited for.
    pub watched_s: f64,
}

impl DiscoveryFigures {
    /// What came of one kind of strike.
    pub(crate) fn strike(&self, strike: Strike) -> Option<&StrikeFigures> {
        self.strikes.iter().find(|it| it.strike == strike)
    }

    /// The largest part of the calls that one instance answers.
    pub(crate) fn largest_share(&self) -> Option<f64> {
        self.share_of_calls.first().copied()
    }
}

impl StrikeFigures {
    /// The part of the orders that failed while the instance was away; `None` if none was placed.
    #[expect(clippy::cast_precision_loss, reason = "no run places 2^52 orders")]
    pub(crate) fn failed_share(&self) -> Option<f64> {
        (self.placed > 0).then(|| self.failed as f64 / self.placed as f64)
    }
}

impl Strike {
    /// What was done to the instance: `one is killed`.
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Hung => "stopped for a while",
            Self::Drained => "drained",
        }
    }
}
