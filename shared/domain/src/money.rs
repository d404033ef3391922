//! Money in minor units (90 = 0.90). Integers only; the largest value is what a JSON number carries exactly.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::whole;

/// An amount of money that moves: 1 to 2^53-1 minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
#[serde(into = "i64")]
#[schema(value_type = i64, minimum = 1, maximum = 9_007_199_254_740_991_i64, examples(90))]
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

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        whole::number(deserializer)?.try_into().map_err(D::Error::custom)
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
#[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, examples(10))]
pub struct Balance(pub i64);

impl TryFrom<i64> for Balance {
    type Error = AmountError;

    fn try_from(minor_units: i64) -> Result<Self, Self::Error> {
        if (0..=Amount::MAX).contains(&minor_units) {
            Ok(Self(minor_units))
        } else {
            Err(AmountError(minor_units))
        }
    }
}

impl From<Balance> for i64 {
    fn from(balance: Balance) -> Self {
        balance.0
    }
}

/// An [`Amount`] or a [`Balance`] as messages tell it: `{"amount": "0.90", "currency": "RUB"}`, a decimal number with the two
/// digits that ISO 4217 gives the currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Told", into = "Told")]
#[serde(bound = "T: Copy + Into<i64> + TryFrom<i64, Error = AmountError>")]
pub struct Money<T>(pub T);

/// The one currency of all accounts.
const CURRENCY: &str = "RUB";

/// [`Money`] as it is written.
#[derive(Serialize, Deserialize)]
struct Told {
    amount: String,
    currency: String,
}

/// Why what a message says is not [`Money`].
#[derive(Debug, thiserror::Error)]
enum MoneyError {
    #[error("the currency must be {CURRENCY}, not {0}")]
    Currency(String),
    #[error("the amount must be a decimal number with two digits after the point, such as 0.90, not {0}")]
    Decimal(String),
    #[error(transparent)]
    Amount(#[from] AmountError),
}

impl<T: Into<i64>> From<Money<T>> for Told {
    fn from(Money(money): Money<T>) -> Self {
        let minor_units: i64 = money.into();
        let amount = format!("{}.{:02}", minor_units / 100, minor_units % 100);
        Self { amount, currency: CURRENCY.to_owned() }
    }
}

impl<T: TryFrom<i64, Error = AmountError>> TryFrom<Told> for Money<T> {
    type Error = MoneyError;

    fn try_from(Told { amount, currency }: Told) -> Result<Self, MoneyError> {
        if currency != CURRENCY {
            return Err(MoneyError::Currency(currency));
        }
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let parts = amount
            .split_once('.')
            .filter(|(whole, cents)| digits(whole) && digits(cents) && cents.len() == 2);
        match parts.map(|(whole, cents)| format!("{whole}{cents}").parse::<i64>()) {
            Some(Ok(minor_units)) => Ok(Self(minor_units.try_into()?)),
            _ => Err(MoneyError::Decimal(amount)),
        }
    }
}

impl<T> JsonSchema for Money<T> {
    fn schema_name() -> Cow<'static, str> {
        "Money".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "An amount of money: a decimal number with two digits after the point, and its currency (ISO 4217).",
            "properties": {
                "amount": {"type": "string", "pattern": "^[0-9]{1,14}\\.[0-9]{2}$", "examples": ["0.90"]},
                "currency": {"type": "string", "enum": [CURRENCY]}
            },
            "required": ["amount", "currency"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_told_as_a_decimal_number_with_its_currency() {
        let told = |minor_units| serde_json::to_value(Money(Amount::new(minor_units).unwrap())).unwrap();
        assert_eq!(told(90), serde_json::json!({"amount": "0.90", "currency": "RUB"}));
        assert_eq!(told(Amount::MAX)["amount"], "90071992547409.91");
        let read = |amount: &str, currency: &str| {
            let told = serde_json::json!({"amount": amount, "currency": currency});
            serde_json::from_value::<Money<Amount>>(told).ok().map(|money| money.0.minor_units())
        };
        assert_eq!(read("0.90", "RUB"), Some(90));
        assert_eq!(read("90071992547409.91", "RUB"), Some(Amount::MAX));
        for bad in [
            "0.00",
            "-0.90",
            "0.9",
            "0,90",
            ".90",
            "90",
            "0.900",
            "90071992547409.92",
            "9e2",
            " 0.90",
            "99999999999999999999.00",
        ] {
            assert_eq!(read(bad, "RUB"), None, "{bad}");
        }
        assert_eq!(read("0.90", "EUR"), None);
    }

    #[test]
    fn an_amount_is_positive_and_fits_a_json_number() {
        assert!(Amount::new(0).is_err());
        assert!(Amount::new(-1).is_err());
        assert!(Amount::new(Amount::MAX + 1).is_err());
        assert_eq!(Amount::new(Amount::MAX).unwrap().minor_units(), 9_007_199_254_740_991);
    }
}
