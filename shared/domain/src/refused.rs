//! A refusal as messages tell it.

use std::fmt::Display;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why something was refused: a stable code, and a sentence for people. An outcome, not a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
