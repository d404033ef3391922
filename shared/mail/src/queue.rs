//! What a mail queue must do; where it keeps its emails is the implementor's affair.
//!
//! ```text
//! pending -> sending -> sent | failed
//!    ^          |
//!    +----------+   later after a transient failure, at once when it was released
//! ```

use std::error::Error;
use std::time::Duration;

/// An email that its claimer may send now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedEmail {
    /// The queue's key.
    pub id: i64,
    /// Without angle brackets. Fixed when the email was queued, so that every copy carries the same one.
    pub message_id: String,
    /// The recipient's address.
    pub to: String,
    /// Plain text of any script.
    pub subject: String,
    /// Plain text of any script.
    pub body: String,
    /// Claims so far, this one included. With `id` it names the claim: a later claimer sees a higher count.
    pub attempts: i32,
    /// The claim before this one ran out of its lease and left no verdict, so a copy may already be delivered.
    pub taken_over: bool,
    /// The trace context of the work that stored it (see [`traceparent`](crate::traceparent)).
    pub traceparent: Option<String>,
}

/// What became of a claimed email.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The server answered for it: `sent`.
    Sent,
    /// It will never be sent: `failed`.
    Failed {
        /// For the operator.
        reason: String,
    },
    /// Back to `pending`, not due before `after` has passed.
    Retry {
        /// For the operator.
        reason: String,
        /// Counted from the moment of recording.
        after: Duration,
        /// The connection broke when the server may already have taken it.
        maybe_delivered: bool,
    },
    /// Not tried, or in vain for a reason that is not its own. Back to `pending`, due at once, behind those that are due already,
    /// and the claim does not count: `attempts` goes back by one.
    Released,
}

/// A durable queue of emails that several workers may share.
///
/// It has no call for the time of the next due email: a worker is woken for new ones, and for those put off a slow
/// poll is precise enough.
pub trait Queue: Send + Sync {
    /// Why the queue could not be reached.
    type Error: Error + Send + Sync + 'static;

    /// Claims up to `limit` due emails, the longest due first.
    ///
    /// They are committed as `sending`, with `attempts` raised and a lease that ends after `lease`, before this
    /// returns: whatever is sent afterwards, a crash leaves a trace of it. Emails still `sending` whose lease has
    /// ended are due too.
    fn claim(
        &self,
        limit: usize,
        lease: Duration,
    ) -> impl Future<Output = Result<Vec<QueuedEmail>, Self::Error>> + Send;

    /// Commits what became of one email. Returns `false`, and changes nothing, if the claim is no longer ours.
    ///
    /// One at a time on purpose: until it is committed, a crash means a second copy.
    fn record(
        &self,
        email: &QueuedEmail,
        verdict: &Verdict,
    ) -> impl Future<Output = Result<bool, Self::Error>> + Send;
}
