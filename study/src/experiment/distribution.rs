//! Durations summed up: by an HDR histogram, which keeps three digits of each.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::figures::Quantiles;

/// The longest that is told apart, in microseconds: ten minutes.
const MAX_US: u64 = 600_000_000;
/// Points of a curve up to the 98th percentile, evenly spaced ...
const EVEN_POINTS: u32 = 33;
/// ... and those of its tail.
const TAIL: [f64; 7] = [0.985, 0.99, 0.9925, 0.995, 0.9975, 0.999, 1.0];

/// Many durations.
pub(crate) struct Distribution(Histogram<u64>);

impl Distribution {
    /// Of `seconds`. What is before its cause, by clocks that differ a little, counts as no time at all.
    pub(crate) fn of(seconds: impl IntoIterator<Item = f64>) -> Self {
        let mut histogram = Histogram::new_with_bounds(1, MAX_US, 3).expect("the bounds are in order");
        for duration in seconds {
            let duration = Duration::try_from_secs_f64(duration).unwrap_or_default();
            histogram.saturating_record(u64::try_from(duration.as_micros()).unwrap_or(MAX_US));
        }
        Self(histogram)
    }

    /// How many they are.
    pub(crate) fn len(&self) -> u64 {
        self.0.len()
    }

    /// What they are like; all 0 if there are none.
    pub(crate) fn quantiles(&self) -> Quantiles {
        let at = |share: f64| milliseconds(self.0.value_at_quantile(share));
        let even = (0..EVEN_POINTS).map(|point| f64::from(point) * 0.98 / f64::from(EVEN_POINTS - 1));
        Quantiles {
            p50_ms: at(0.5),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            max_ms: milliseconds(self.0.max()),
            curve: even.chain(TAIL).map(|share| (share, at(share))).collect(),
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "an hour has 2^32 microseconds")]
fn milliseconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_durations() {
        let found = Distribution::of((1..=1000).map(|ms| f64::from(ms) / 1e3));
        assert_eq!(found.len(), 1000);
        let quantiles = found.quantiles();
        for (found, expected) in [
            (quantiles.p50_ms, 500.0),
            (quantiles.p95_ms, 950.0),
            (quantiles.p99_ms, 990.0),
            (quantiles.max_ms, 1000.0),
        ] {
            assert!((found / expected - 1.0).abs() < 2e-3, "{found} instead of {expected}");
        }
        assert_eq!(quantiles.curve.len(), 40);
        assert!(quantiles.curve.is_sorted_by(|one, next| one.0 < next.0 && one.1 <= next.1));
    }

    #[test]
    fn what_ends_before_it_begins_took_no_time() {
        let found = Distribution::of([-0.001]).quantiles();
        assert!(found.max_ms < 0.002, "{found:?}");
    }
}
