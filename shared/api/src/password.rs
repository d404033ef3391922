//! Passwords: hashed with Argon2id, never logged, never stored, never answered.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::PasswordHasher as _;
use argon2::{Algorithm, Argon2, Params, Version};
use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;

use crate::ApiError;

/// What hashing a password may take even if the client waits for less.
const HASHED_MIN: Duration = Duration::from_millis(400);

/// A password as it comes in. `Debug` does not show it.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, format = Password, min_length = 1, max_length = 1024, examples("correct horse battery staple"))]
pub struct Password(String);

impl Password {
    /// The password itself: for billing alone, which hashes it.
    pub fn for_billing(self) -> String {
        self.0
    }
}

impl TryFrom<String> for Password {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        // Bounded, since hashing costs time in proportion.
        if (1..=1024).contains(&text.chars().count()) {
            Ok(Self(text))
        } else {
            Err("must have 1 to 1024 characters")
        }
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(..)")
    }
}

/// The cost of hashing. The defaults are OWASP's recommendation for Argon2id.
#[derive(Clone, Debug, Args)]
pub struct PasswordSettings {
    /// How much memory hashing one password takes, in KiB.
    #[arg(long, env = "ARGON2_MEMORY_KIB", default_value_t = 19_456)]
    pub argon2_memory_kib: u32,

    /// How often hashing one password passes over that memory.
    #[arg(long, env = "ARGON2_PASSES", default_value_t = 2)]
    pub argon2_passes: u32,
}

/// The cost of hashing is outside of what Argon2 allows.
#[derive(Debug, thiserror::Error)]
#[error("ARGON2_MEMORY_KIB and ARGON2_PASSES are not a cost that Argon2 allows: {0}")]
pub struct InvalidCost(argon2::Error);

/// Hashes passwords, as many at a time as there are cores: each takes its memory for the whole of it.
#[derive(Clone)]
pub struct PasswordHasher {
    argon2: Argon2<'static>,
    permits: Arc<Semaphore>,
}

impl PasswordHasher {
    /// A hasher of the given cost.
    ///
    /// # Errors
    /// When the cost is outside of what Argon2 allows.
    pub fn new(settings: &PasswordSettings) -> Result<Self, InvalidCost> {
        let params =
            Params::new(settings.argon2_memory_kib, settings.argon2_passes, 1, None).map_err(InvalidCost)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            permits: Arc::new(Semaphore::new(cores)),
        })
    }

    /// As [`Self::hash`], if the turn of this password comes by `answer_by`.
    ///
    /// # Errors
    /// `Unavailable` when others have to be hashed first.
    pub async fn hash_by(&self, answer_by: Instant, password: Password) -> Result<String, ApiError> {
        let by = answer_by.max(Instant::now() + HASHED_MIN);
        timeout_at(by, self.hash(password)).await.unwrap_or_else(|_| {
            Err(ApiError::Unavailable("Too many registrations. Nothing was done; try again.".to_owned()))
        })
    }

    /// The hash in PHC string format, with a random salt.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub async fn hash(&self, password: Password) -> Result<String, ApiError> {
        let internal = |error: Box<dyn std::error::Error + Send + Sync>| ApiError::Internal(error);
        let permit =
            Arc::clone(&self.permits).acquire_owned().await.map_err(|error| internal(error.into()))?;
        let argon2 = self.argon2.clone();
        // Tens of milliseconds of CPU: not on a thread that answers requests.
        let hashed = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            argon2.hash_password(password.0.as_bytes()).map(|hash| hash.to_string())
        });
        let hashed = hashed.await.map_err(|error| internal(error.into()))?;
        hashed.map_err(|error| internal(error.to_string().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_is_argon2id_salted_and_does_not_hold_the_password() {
        let settings = PasswordSettings { argon2_memory_kib: 64, argon2_passes: 1 };
        let hasher = PasswordHasher::new(&settings).unwrap();
        let password = Password::try_from("secret".to_owned()).unwrap();
        assert_eq!(format!("{password:?}"), "Password(..)");
        let (one, two) = (hasher.hash(password.clone()).await.unwrap(), hasher.hash(password).await.unwrap());
        assert!(one.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{one}");
        assert_ne!(one, two);
        assert!(!one.contains("secret"));
    }
}
