//! How durations are distributed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A distribution of durations.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Quantiles {
    /// The median.
    pub p50_ms: f64,
    /// One in twenty takes longer.
    pub p95_ms: f64,
    /// One in a hundred takes longer.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// The whole distribution: share of the orders (0 to 1), and within how many milliseconds they are done.
    pub curve: Vec<(f64, f64)>,
}
