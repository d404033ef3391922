//! Money in minor units (90 = 0.90). Integers only; the largest value is what a JSON number carries exactly.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An amount of money that moves: 1 to 2^53-1 minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
#[serde(try_from = "i64", into = "i64")]
#[schema(value_type = i64, minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 90)]
pub struct Amount(i64);

/// Why a number is not an [`Amount`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number of minor units from 1 to {max}, not {0}", max = Amount::MAX)]
pub struct AmountError(i64);

impl Amount {
    /// The largest amount and the largest balance: 2^53-1 minor units, the largest integer every JSON parser keeps.
    pub const MAX: i64 = (1 << 53) - 1;

    /// An amount of `minor_units`.
    ///
    /// # Errors
    /// When it is not positive or above [`Amount::MAX`].
    pub fn new(minor_units: i64) -> Result<Self, AmountError> {
        if (1..=Self::MAX).contains(&minor_units) {
            Ok(Self(minor_units))
        } else {
            Err(AmountError(minor_units))
        }
    }

    /// Minor units.
    pub fn minor_units(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for Amount {
    type Error = AmountError;

    fn try_from(minor_units: i64) -> Result<Self, Self::Error> {
        Self::new(minor_units)
    }
}

impl From<Amount> for i64 {
    fn from(amount: Amount) -> Self {
        amount.0
    }
}

/// What an account holds, in minor units. Never negative, never above [`Amount::MAX`]: the database holds both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
#[serde(transparent)]
#[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 10)]
pub struct Balance(pub i64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_positive_and_fits_a_json_number() {
        assert!(Amount::new(0).is_err());
        assert!(Amount::new(-1).is_err());
        assert!(Amount::new(Amount::MAX + 1).is_err());
        assert_eq!(Amount::new(Amount::MAX).unwrap().minor_units(), 9_007_199_254_740_991);
    }
}
