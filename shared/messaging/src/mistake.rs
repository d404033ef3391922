//! Mistakes on purpose, for showing that the checks find them, and an order of arrival that is rare. They exist only in builds with the
//! feature `failpoints`.

/// Whether a mistake is to be made here.
pub(crate) fn is_made(mistake: &str) -> bool {
    let _ = mistake;
    fail::fail_point!(mistake, |_| true);
    false
}

/// Whether what has come together is to be handled the other way round, as if it had come over several partitions: in what order these are
/// read, nobody promises. It is so where partitions were added between two messages.
pub(crate) fn comes_the_other_way_round() -> bool {
    is_made("fault::other_way_round")
}
