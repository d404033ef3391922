//! Mistakes on purpose, for showing that the checks find them. They exist only in builds with the feature `failpoints`.

/// Whether a mistake is to be made here.
pub(crate) fn is_made(mistake: &str) -> bool {
    let _ = mistake;
    fail::fail_point!(mistake, |_| true);
    false
}
