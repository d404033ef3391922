//! Whole numbers as JSON has them: `3.0` is one too (JSON Schema: an `integer` is a number without a fractional part).

use std::fmt;

use serde::Deserializer;
use serde::de::{Error, Unexpected, Visitor};

/// A whole number that fits 64 bits; with a point or an exponent, one that a double keeps exactly.
pub(crate) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    deserializer.deserialize_i64(Whole)
}

struct Whole;

impl Visitor<'_> for Whole {
    type Value = i64;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a whole number")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<i64, E> {
        Ok(number)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<i64, E> {
        i64::try_from(number).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    #[allow(clippy::cast_possible_truncation, reason = "exact within these bounds")]
    fn visit_f64<E: Error>(self, number: f64) -> Result<i64, E> {
        const EXACT_MAX: f64 = 9_007_199_254_740_992.0; // 2^53
        if number.fract() == 0.0 && number.abs() <= EXACT_MAX {
            Ok(number as i64)
        } else {
            Err(E::invalid_value(Unexpected::Float(number), &self))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Amount, UserId};

    #[test]
    fn a_number_without_a_fraction_is_whole_however_it_is_written() {
        let user = |text: &str| serde_json::from_str::<UserId>(text).map(|user| user.0).ok();
        for (text, expected) in
            [("3", 3), ("3.0", 3), ("3e2", 300), ("-0.0", 0), ("9223372036854775807", i64::MAX)]
        {
            assert_eq!(user(text), Some(expected), "{text}");
        }
        for text in ["3.5", "1e400", "1e19", "9223372036854775808", "\"3\"", "null", "true"] {
            assert_eq!(user(text), None, "{text}");
        }
        assert_eq!(serde_json::from_str::<Amount>("192.0").ok(), Amount::new(192).ok());
        assert!(serde_json::from_str::<Amount>("0.0").is_err());
    }
}
