//! Text that came from outside: bounded, and free of characters that a database, a header or a log cannot hold.

use std::borrow::Cow;
use std::str::FromStr;

use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Why a text was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Too short or too long.
    #[error("must have {min} to {max} characters, not {actual}")]
    Length {
        /// Smallest number of characters.
        min: usize,
        /// Largest number of characters.
        max: usize,
        /// What there was.
        actual: usize,
    },
    /// A control character: a line break in a header is an injection, a NUL cannot be stored by PostgreSQL.
    #[error("must not contain control characters")]
    ControlCharacter,
    /// Not an email address.
    #[error("must be an email address")]
    NotAnEmailAddress,
}

fn bounded(text: &str, min: usize, max: usize, allowed: fn(char) -> bool) -> Result<(), TextError> {
    let actual = text.chars().count();
    if !(min..=max).contains(&actual) {
        return Err(TextError::Length { min, max, actual });
    }
    if text.chars().any(|c| c.is_control() && !allowed(c)) {
        return Err(TextError::ControlCharacter);
    }
    Ok(())
}

macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident $(<$(const $generic:ident),+>)?, $parse:expr, $schema:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name $(<$(const $generic: usize),+>)? (String);

        impl $(<$(const $generic: usize),+>)? $name $(<$($generic),+>)? {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl $(<$(const $generic: usize),+>)? TryFrom<String> for $name $(<$($generic),+>)? {
            type Error = TextError;

            fn try_from(text: String) -> Result<Self, TextError> {
                let parse: fn(&str) -> Result<(), TextError> = $parse;
                parse(&text)?;
                Ok(Self(text))
            }
        }

        impl $(<$(const $generic: usize),+>)? FromStr for $name $(<$($generic),+>)? {
            type Err = TextError;

            fn from_str(text: &str) -> Result<Self, TextError> {
                text.to_owned().try_into()
            }
        }

        impl $(<$(const $generic: usize),+>)? From<$name $(<$($generic),+>)?> for String {
            fn from(text: $name $(<$($generic),+>)?) -> Self {
                text.0
            }
        }

        impl $(<$(const $generic: usize),+>)? PartialSchema for $name $(<$($generic),+>)? {
            fn schema() -> RefOr<Schema> {
                let schema: ObjectBuilder = $schema;
                schema.schema_type(Type::String).into()
            }
        }

        impl $(<$(const $generic: usize),+>)? ToSchema for $name $(<$($generic),+>)? {}

        /// In messages the same as in HTTP bodies: OpenAPI 3.1's schemas are JSON Schema.
        impl $(<$(const $generic: usize),+>)? JsonSchema for $name $(<$($generic),+>)? {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> schemars::Schema {
                let schema = serde_json::to_value(<Self as PartialSchema>::schema());
                schema.and_then(serde_json::from_value).expect("a schema is an object")
            }
        }
    };
}

text_type!(
    /// One line of `MIN` to `MAX` characters without control characters.
    Line<const MIN, const MAX>,
    |text| bounded(text, MIN, MAX, |_| false),
    ObjectBuilder::new()
        .min_length(Some(MIN))
        .max_length(Some(MAX))
        .pattern(Some(r"^[^\u0000-\u001f\u007f-\u009f]*$"))
);

text_type!(
    /// Text of `MIN` to `MAX` characters that may have line breaks and tabs.
    Prose<const MIN, const MAX>,
    |text| bounded(text, MIN, MAX, |c| matches!(c, '\n' | '\r' | '\t')),
    ObjectBuilder::new()
        .min_length(Some(MIN))
        .max_length(Some(MAX))
        .pattern(Some(r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*$"))
);

text_type!(
    /// An email address (RFC 5321, RFC 6531), as an SMTP server accepts it: no display name, at most 254 characters.
    EmailAddress,
    |text| {
        bounded(text, 3, 254, |_| false)?;
        // What the RFCs allow and no mail client sends to.
        let bare = email_address::Options::default().without_display_text().without_domain_literal();
        if text.starts_with('"') {
            return Err(TextError::NotAnEmailAddress);
        }
        email_address::EmailAddress::parse_with_options(text, bare)
            .map(|_| ())
            .map_err(|_| TextError::NotAnEmailAddress)
    },
    ObjectBuilder::new()
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Email)))
        .min_length(Some(3))
        .max_length(Some(254))
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_bounded_and_has_no_control_characters() {
        assert!("".parse::<Line<1, 5>>().is_err());
        assert!("éclair".parse::<Line<1, 6>>().is_ok(), "characters are counted, not bytes");
        assert!("toolong".parse::<Line<1, 6>>().is_err());
        assert_eq!("a\0b".parse::<Line<0, 9>>(), Err(TextError::ControlCharacter));
        assert_eq!("a\r\nBcc: x".parse::<Line<0, 99>>(), Err(TextError::ControlCharacter));
    }

    #[test]
    fn prose_may_have_line_breaks_but_no_nul() {
        assert!("one\ntwo\tthree".parse::<Prose<1, 99>>().is_ok());
        assert_eq!("a\0b".parse::<Prose<0, 9>>(), Err(TextError::ControlCharacter));
    }

    #[test]
    fn an_email_address_is_one_address() {
        assert!("ann@example.org".parse::<EmailAddress>().is_ok());
        for bad in [
            "ann",
            "Ann <ann@example.org>",
            "a@b@c",
            "ann@example.org\nBcc: eve@example.org",
            "\"a b\"@example.org",
            "a@[127.0.0.1]",
        ] {
            assert!(bad.parse::<EmailAddress>().is_err(), "{bad:?}");
        }
    }
}
