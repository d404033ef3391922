//! Settings from the environment: how a caller provides servers of their own.

use std::env;

use crate::SandboxError;

/// The value of `name`, if it is set.
pub(crate) fn read(name: &'static str) -> Result<Option<String>, SandboxError> {
    match env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(error) => Err(SandboxError::BadSetting { name, problem: error.to_string() }),
    }
}
