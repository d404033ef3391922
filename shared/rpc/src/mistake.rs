//! Mistakes on purpose, for showing what comes of them. They exist only in builds with the feature `failpoints`.

use std::time::Duration;

use web::RequestContext;

/// How long one try may take: its `share`, or, as a mistake, all the time that its caller has. Then there is none for a second try.
pub(crate) fn time_for_a_try(share: Duration) -> Duration {
    if is_made("mistake::whole_deadline") {
        return RequestContext::current().remaining();
    }
    share
}

fn is_made(mistake: &str) -> bool {
    let _ = mistake;
    fail::fail_point!(mistake, |_| true);
    false
}
