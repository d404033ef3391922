//! What all texts from outside have in common: each is a type that only its parser makes, and says why it was not made.

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
    /// A character that nobody sees, or that changes the direction in which others are shown.
    #[error("must not contain the invisible character U+{:04X}", u32::from(*.0))]
    Invisible(char),
    /// A character that no username has (RFC 8265).
    #[error(
        "must not contain U+{:04X}: a username has letters and digits of any script, and ASCII punctuation",
        u32::from(*.0)
    )]
    NotInUsername(char),
    /// Characters that a username may have, but not together (RFC 8265).
    #[error("must be a username (RFC 8265): its characters do not go together")]
    NotAUsername,
    /// Not an email address.
    #[error("must be an email address")]
    NotAnEmailAddress,
    /// An email address whose domain is none.
    #[error("must be an email address: its domain is not valid (IDNA)")]
    NotADomain,
    /// An email address that is too long for SMTP, its domain being written in ASCII.
    #[error("must be an email address of at most {max} bytes on the wire, not {actual}")]
    AddressLength {
        /// Largest number of bytes.
        max: usize,
        /// What it would take.
        actual: usize,
    },
    /// An email address that only a server with SMTPUTF8 (RFC 6531) takes, and the installation has none.
    #[error("must be an email address that is ASCII before its @: emails to others cannot be sent from here")]
    NeedsSmtpUtf8,
}

/// Checks the number of characters, and that there is no control character but those `allowed`.
pub(crate) fn bounded(
    text: &str,
    min: usize,
    max: usize,
    allowed: fn(char) -> bool,
) -> Result<(), TextError> {
    let actual = text.chars().count();
    if !(min..=max).contains(&actual) {
        return Err(TextError::Length { min, max, actual });
    }
    if text.chars().any(|c| c.is_control() && !allowed(c)) {
        return Err(TextError::ControlCharacter);
    }
    Ok(())
}

/// A type of text: what makes it of a string, and its schema without the type.
macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident $(<$(const $generic:ident),+>)?, $parse:expr, $schema:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name $(<$(const $generic: usize),+>)? (String);

        impl $(<$(const $generic: usize),+>)? $name $(<$($generic),+>)? {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl $(<$(const $generic: usize),+>)? TryFrom<String> for $name $(<$($generic),+>)? {
            type Error = $crate::TextError;

            fn try_from(text: String) -> Result<Self, $crate::TextError> {
                let parse: fn(String) -> Result<String, $crate::TextError> = $parse;
                parse(text).map(Self)
            }
        }

        impl $(<$(const $generic: usize),+>)? std::str::FromStr for $name $(<$($generic),+>)? {
            type Err = $crate::TextError;

            fn from_str(text: &str) -> Result<Self, $crate::TextError> {
                text.to_owned().try_into()
            }
        }

        impl $(<$(const $generic: usize),+>)? From<$name $(<$($generic),+>)?> for String {
            fn from(text: $name $(<$($generic),+>)?) -> Self {
                text.0
            }
        }

        impl $(<$(const $generic: usize),+>)? utoipa::PartialSchema for $name $(<$($generic),+>)? {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                let schema: utoipa::openapi::schema::ObjectBuilder = $schema;
                schema.schema_type(utoipa::openapi::schema::Type::String).into()
            }
        }

        impl $(<$(const $generic: usize),+>)? utoipa::ToSchema for $name $(<$($generic),+>)? {}

        /// In messages the same as in HTTP bodies: OpenAPI 3.1's schemas are JSON Schema.
        impl $(<$(const $generic: usize),+>)? schemars::JsonSchema for $name $(<$($generic),+>)? {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let schema = serde_json::to_value(<Self as utoipa::PartialSchema>::schema());
                schema.and_then(serde_json::from_value).expect("a schema is an object")
            }
        }
    };
}
pub(crate) use text_type;
