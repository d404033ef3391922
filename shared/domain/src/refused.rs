//! A refusal as messages tell it.

use std::borrow::Cow;
use std::fmt::Display;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The codes with which one kind of request may be refused.
pub trait Codes: JsonSchema {
    /// What documents call its refusal: the same in all of them, whatever else is refused there.
    const REFUSED: &'static str;
}

/// Why something was refused: a stable code, and a sentence for people. An outcome, not a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused<C> {
    /// What programs go by.
    pub code: C,
    /// What people read.
    pub message: String,
}

impl<C: Display> From<C> for Refused<C> {
    fn from(code: C) -> Self {
        Self { message: code.to_string(), code }
    }
}

impl<C: Codes> JsonSchema for Refused<C> {
    fn schema_name() -> Cow<'static, str> {
        C::REFUSED.into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "Why something was refused: a stable code, and a sentence for people. An outcome, not a failure.",
            "properties": {
                "code": generator.subschema_for::<C>(),
                "message": {"type": "string", "description": "What people read."}
            },
            "required": ["code", "message"]
        })
    }
}
