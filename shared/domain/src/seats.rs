//! How many seats an event has.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::whole;

/// The seats of an event: 0 to 1,000,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = i64, minimum = 0, maximum = 1_000_000, examples(100))]
pub struct Capacity(i64);

impl Capacity {
    /// The most seats that an event may have.
    pub const MAX: i64 = 1_000_000;

    /// The number.
    pub fn seats(self) -> i64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Capacity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seats = whole::number(deserializer)?;
        if (0..=Self::MAX).contains(&seats) {
            Ok(Self(seats))
        } else {
            Err(D::Error::custom(format_args!(
                "must be a whole number of seats from 0 to {}, not {seats}",
                Self::MAX
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_may_have_no_seat_and_no_more_than_a_million() {
        let parse = |text: &str| serde_json::from_str::<Capacity>(text).map(Capacity::seats).ok();
        assert_eq!((parse("0"), parse("1000000")), (Some(0), Some(1_000_000)));
        assert_eq!((parse("-1"), parse("1000001"), parse("1.5")), (None, None, None));
    }
}
