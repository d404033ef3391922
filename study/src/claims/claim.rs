//! What a claim is, and what can be found about it.

use crate::figures::Report;

/// A claim, who makes it, and how it is judged.
pub(super) struct Claim {
    pub(super) id: &'static str,
    /// As teaching texts make it.
    pub(super) says: &'static str,
    /// Who does.
    pub(super) source: &'static str,
    pub(super) judge: fn(&Report) -> Vec<Finding>,
}

/// What was found in one circumstance: a style, a load, a part that was away.
pub(super) struct Finding {
    /// Whether it is there as the claim says.
    pub(super) holds: bool,
    /// The figures, in words.
    pub(super) figures: String,
}

impl Finding {
    pub(super) fn new(holds: bool, figures: String) -> Self {
        Self { holds, figures }
    }
}
