//! What comes of a call that is not a response.

use web::PeerError;

use crate::refusal::Refusal;

/// There is no response.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The callee answered with a status.
    #[error("{peer} refused: {refusal}")]
    Refused {
        /// The service.
        peer: &'static str,
        /// What it said.
        #[source]
        refusal: Refusal,
    },
    /// There is no answer. It says whether any attempt may have arrived.
    #[error(transparent)]
    Peer(#[from] PeerError),
}

impl CallError {
    /// What the callee said, if it said something.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal),
            Self::Peer(_) => None,
        }
    }

    /// The reason of the refusal; empty if there is none.
    pub fn reason(&self) -> &str {
        self.refusal().map_or("", |refusal| &refusal.reason)
    }
}
