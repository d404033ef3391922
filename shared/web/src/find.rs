//! A question to the owner of a thing: here it is, or there is none.

use std::time::Duration;

use http::StatusCode;
use serde::de::DeserializeOwned;
use tokio::time::sleep;

use crate::call::{Call, PeerError};
use crate::client::Peer;

/// Bounds the wait, of full jitter, before a question is asked again: at first, and later.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// A question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// There is none at all.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// There is one that is none to this question: whoever gives it is not the owner, or not in this version.
    #[error("{peer} answered {status} to GET {path}")]
    Unexpected {
        /// The service.
        peer: &'static str,
        /// What was asked.
        path: String,
        /// What it said.
        status: StatusCode,
    },
}

impl Peer {
    /// What `question`, a GET, finds. `None` for a 404 of the owner's own, not of a path that it does not have.
    ///
    /// # Errors
    /// When there is no answer, or none to this question.
    pub async fn find<T: DeserializeOwned>(&self, question: Call) -> Result<Option<T>, FindError> {
        let path = question.path.clone();
        let answer = self.ask(question).await?;
        match (answer.status, answer.json()) {
            (StatusCode::OK, Ok(found)) => Ok(Some(found)),
            (StatusCode::NOT_FOUND, _) if answer.problem_code().as_deref() == Some("not-found") => Ok(None),
            (status, _) => Err(FindError::Unexpected { peer: self.name(), path, status }),
        }
    }
}

/// Asks until there is an answer, for somebody who waits for it: an owner that is away may be back in time.
///
/// # Errors
/// The first error that does not pass.
pub async fn ask_until_answered<T, E, F>(ask: impl Fn() -> F, passes: impl Fn(&E) -> bool) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let mut wait = BACKOFF.0;
    loop {
        match ask().await {
            Err(error) if passes(&error) => sleep(wait.mul_f64(fastrand::f64())).await,
            answer => return answer,
        }
        wait = (wait * 2).min(BACKOFF.1);
    }
}
