//! Why something cannot even be started.

/// A wrong argument or a missing prerequisite, in one line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CannotStart(pub String);
