//! What every call of a peer keeps to, whatever protocol it speaks: a bound on what is outstanding, the one retrying layer on the
//! path with its budget, a circuit breaker, and a deadline that leaves time for the answer.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower::retry::budget::{Budget as _, TpsBudget};

use crate::breaker::{Breaker, GuardMetrics};
use crate::call::{PeerError, Retry};
use crate::context::RequestContext;
use crate::settings::ClientSettings;

/// Attempts after the first, for calls that may be repeated.
const RETRIES_MAX: usize = 2;
/// The longest wait before the first of them; doubled for the next.
const RETRY_BACKOFF: Duration = Duration::from_millis(50);
/// A peer gets this much less time than its caller has, so that its answer still arrives.
const DEADLINE_MARGIN: Duration = Duration::from_millis(20);
/// A try ends so much before its request's deadline, so that what came of it can still be said by whoever knows what was asked.
const SAID_BEFORE: Duration = Duration::from_millis(10);

/// What is between a service and one of its peers.
#[derive(Clone)]
pub struct Guard(Arc<Inner>);

struct Inner {
    peer: &'static str,
    metrics: GuardMetrics,
    call_timeout: Duration,
    outstanding: Semaphore,
    breaker: Breaker,
    budget: TpsBudget,
}

/// How a call is made.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Whether it may be repeated.
    pub retry: Retry,
    /// How long one attempt may take, if not as long as the usual call's; never past the request's deadline.
    pub timeout: Option<Duration>,
}

/// What came of one attempt.
#[derive(Debug)]
pub enum Attempt<T> {
    /// An answer to hand on.
    Answered(T),
    /// An answer that may be another one next time, of a peer that is there.
    ComeAgain(T),
    /// The answer of a peer that is broken.
    Broken(T),
    /// It did not arrive, for this reason: nothing happened.
    Unreachable(String),
    /// It may have arrived; there will be no answer, for this reason.
    Lost(String),
    /// As [`Self::Lost`], with one instance of the peer, while others are there.
    LostWithAnInstance(String),
    /// It was given up by us. What the peer does is not known by that.
    TimedOut(String),
}

impl Guard {
    /// A guard of the calls of `peer`. Hold on to it: breaker, bound and budget belong to it.
    pub fn new(peer: &'static str, settings: &ClientSettings, metrics: GuardMetrics) -> Self {
        Self(Arc::new(Inner {
            peer,
            metrics,
            call_timeout: Duration::from_millis(settings.call_timeout_ms),
            outstanding: Semaphore::new(settings.outstanding_max),
            breaker: Breaker::new(peer, metrics),
            // At most a fifth of the calls may be retries, beside ten a second: a struggling peer is not helped by thrice
            // the load.
            budget: TpsBudget::new(Duration::from_secs(10), 10, 0.2),
        }))
    }

    /// The peer's name.
    pub fn peer(&self) -> &'static str {
        self.0.peer
    }

    /// How long a peer may work on a call that is given up after `limit`.
    pub fn left_for_the_peer(limit: Duration) -> Duration {
        limit.saturating_sub(DEADLINE_MARGIN)
    }

    /// Makes a call by `attempt`, which is given the time that it may take. Ends before the current request's deadline. `is_there`
    /// tells after a time-out whether the peer answers at all.
    ///
    /// # Errors
    /// When there is no answer. [`PeerError::Unreachable`] promises that no attempt reached the peer.
    pub async fn call<T, F: Future<Output = Attempt<T>>>(
        &self,
        terms: Terms,
        attempt: impl Fn(Duration) -> F,
        is_there: impl Fn() -> BoxFuture<'static, bool>,
    ) -> Result<T, PeerError> {
        let context = RequestContext::current();
        let Inner { peer, metrics, outstanding, budget, .. } = &*self.0;
        let Ok(_permit) = timeout(context.remaining(), outstanding.acquire()).await else {
            return Err(self.unreachable("too many requests are outstanding"));
        };
        if context.remaining() <= DEADLINE_MARGIN {
            // Nothing that the peer could do about it, so its breaker is not told.
            return Err(self.unreachable("the deadline has passed"));
        }
        budget.deposit();
        // Full jitter: anything up to the longest wait, so that those who failed together do not come back together.
        let mut delays = (0..RETRIES_MAX).map(|retry| RETRY_BACKOFF.mul_f64(fastrand::f64()) * (1 << retry));
        // Whether any attempt may have arrived: the last one alone does not tell.
        let mut sent = false;
        loop {
            let left = context.remaining().saturating_sub(SAID_BEFORE);
            let limit = terms.timeout.unwrap_or(self.0.call_timeout).min(left);
            let outcome = match self.guarded(limit, &attempt, &is_there).await {
                Attempt::Answered(answer) | Attempt::Broken(answer) => return Ok(answer),
                other => other,
            };
            sent |= !matches!(outcome, Attempt::Unreachable(_));
            let retry = (terms.retry == Retry::Yes).then(|| delays.next()).flatten();
            match retry {
                Some(delay) if context.remaining() > delay + DEADLINE_MARGIN && budget.withdraw() => {
                    metrics::counter!(metrics.retries, "peer" => *peer).increment(1);
                    tokio::time::sleep(delay).await;
                }
                _ => return self.last(outcome, sent),
            }
        }
    }

    /// One attempt, if the breaker lets it through.
    async fn guarded<T, F: Future<Output = Attempt<T>>>(
        &self,
        limit: Duration,
        attempt: impl Fn(Duration) -> F,
        is_there: impl Fn() -> BoxFuture<'static, bool>,
    ) -> Attempt<T> {
        let breaker = &self.0.breaker;
        if !breaker.permits_call() {
            return Attempt::Unreachable("its circuit breaker is open".to_owned());
        }
        let outcome = attempt(limit).await;
        match &outcome {
            Attempt::Answered(_) | Attempt::ComeAgain(_) | Attempt::LostWithAnInstance(_) => {
                breaker.on_success();
            }
            Attempt::TimedOut(_) => self.find_out(is_there),
            Attempt::Broken(_) | Attempt::Unreachable(_) | Attempt::Lost(_) => breaker.on_failure(),
        }
        outcome
    }

    /// Finds out whether the peer is there, after a time-out. The caller does not wait for it.
    fn find_out(&self, is_there: impl Fn() -> BoxFuture<'static, bool>) {
        if self.0.breaker.on_time_out() {
            let (guard, question) = (self.clone(), is_there());
            tokio::spawn(async move { guard.0.breaker.settle_time_outs(question.await) });
        }
    }

    /// What the last attempt says of all of them.
    fn last<T>(&self, outcome: Attempt<T>, sent: bool) -> Result<T, PeerError> {
        match outcome {
            Attempt::Answered(answer) | Attempt::ComeAgain(answer) | Attempt::Broken(answer) => Ok(answer),
            Attempt::Unreachable(cause) if !sent => Err(self.unreachable(cause)),
            Attempt::Unreachable(cause)
            | Attempt::Lost(cause)
            | Attempt::LostWithAnInstance(cause)
            | Attempt::TimedOut(cause) => Err(PeerError::Unanswered { peer: self.0.peer, cause }),
        }
    }

    fn unreachable(&self, cause: impl Into<String>) -> PeerError {
        PeerError::Unreachable { peer: self.0.peer, cause: cause.into() }
    }
}
