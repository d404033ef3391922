//! The circuit breaker of a peer, and which failures count for it: those that any other call would meet as well.
//!
//! | what came of a call | the breaker learns |
//! |---|---|
//! | an answer below 500, or 503 | the peer is there. 503 is a sound answer of one whose own dependency is away |
//! | 500 | a failure |
//! | refused, reset, broken off | a failure, unless the peer has other instances that are there |
//! | a time-out | nothing yet: the peer is asked whether it is there, and only if it does not answer that, either, it is a failure |
//!
//! A time-out alone does not say whether the peer is away: the route may be a costly one, or the client in a hurry. The question
//! (over HTTP `/health`) costs nothing and takes no turn behind other requests, so a process that is there answers it.

use std::iter::{self, Successors};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use failsafe::failure_policy::{self, ConsecutiveFailures};
use failsafe::{Config, Instrument, StateMachine};

/// It opens after this many failures in a row ...
const FAILURES: u32 = 5;
/// ... for the first of these times, growing to the second while the peer stays away.
const OPEN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));

/// Names of the metrics that tell what is between a service and its peers. Each has the label `peer`.
#[derive(Clone, Copy, Debug)]
pub struct GuardMetrics {
    /// A counter of attempts after the first.
    pub retries: &'static str,
    /// A gauge of the breaker: 0 closed, 1 half open, 2 open.
    pub breaker_state: &'static str,
    /// A counter of calls that the open breaker did not let through.
    pub breaker_rejections: &'static str,
}

/// How long it stays open, the first time, the second, ...
type OpenTimes = Successors<Duration, fn(&Duration) -> Option<Duration>>;

pub(crate) struct Breaker {
    machine: StateMachine<ConsecutiveFailures<OpenTimes>, Shown>,
    /// Time-outs of which it is not known yet whether the peer is away.
    suspected: AtomicU32,
    /// Whether that is being found out.
    asking: AtomicBool,
}

impl Breaker {
    /// Closed, for the peer of this name.
    pub(crate) fn new(peer: &'static str, names: GuardMetrics) -> Self {
        let times: OpenTimes = iter::successors(Some(OPEN.0), |&last| Some((last * 2).min(OPEN.1)));
        let policy = failure_policy::consecutive_failures(FAILURES, times);
        let machine = Config::new().failure_policy(policy).instrument(Shown { peer, names }).build();
        Self { machine, suspected: AtomicU32::new(0), asking: AtomicBool::new(false) }
    }

    /// Whether a call may be made; counts those that may not.
    pub(crate) fn permits_call(&self) -> bool {
        self.machine.is_call_permitted()
    }

    pub(crate) fn on_success(&self) {
        self.machine.on_success();
    }

    pub(crate) fn on_failure(&self) {
        self.machine.on_error();
    }

    /// Notes a time-out. Returns whether it is for the caller to find out whether the peer is there: one question at a time is
    /// enough for all.
    pub(crate) fn on_time_out(&self) -> bool {
        self.suspected.fetch_add(1, Ordering::SeqCst);
        !self.asking.swap(true, Ordering::SeqCst)
    }

    /// Settles the time-outs up to now.
    pub(crate) fn settle_time_outs(&self, is_there: bool) {
        self.asking.store(false, Ordering::SeqCst);
        let suspected = self.suspected.swap(0, Ordering::SeqCst);
        if !is_there {
            (0..suspected).for_each(|_| self.machine.on_error());
        }
    }
}

/// Shows the breaker's state as a gauge: 0 closed, 1 half open, 2 open.
struct Shown {
    peer: &'static str,
    names: GuardMetrics,
}

impl Shown {
    fn show(&self, state: f64, name: &str) {
        metrics::gauge!(self.names.breaker_state, "peer" => self.peer).set(state);
        tracing::debug!(peer = self.peer, state = name, "circuit breaker");
    }
}

impl Instrument for Shown {
    fn on_call_rejected(&self) {
        metrics::counter!(self.names.breaker_rejections, "peer" => self.peer).increment(1);
    }

    fn on_open(&self) {
        tracing::warn!(peer = self.peer, "circuit breaker opens");
        self.show(2.0, "open");
    }

    fn on_half_open(&self) {
        self.show(1.0, "half-open");
    }

    fn on_closed(&self) {
        self.show(0.0, "closed");
    }
}
