//! One instance of a service: a connection to it is kept up as long as the instance is one.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::connection::{Connection, Keeper};
use super::settings::ChannelSettings;

/// How long it is waited until an instance is dialled again, at most: after the first failure, and after many.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// A call that finds every instance away has them dialled at once, but no instance is dialled more often than this.
pub(crate) const REDIAL_MIN: Duration = Duration::from_millis(20);

/// An instance, to which a connection is kept up until this is dropped. Calls that are on their way then go on.
pub(crate) struct Endpoint {
    shared: Arc<Shared>,
    _kept_up: DropGuard,
}

struct Shared {
    peer: &'static str,
    address: SocketAddr,
    state: Mutex<State>,
    dial_now: Notify,
}

/// How it is with an instance.
#[derive(Clone)]
pub(crate) enum State {
    /// It is being connected to.
    Dialling,
    /// Connected.
    Up(Connection),
    /// It could not be connected to, for this reason, at this time.
    Down(String, Instant),
}

impl Endpoint {
    /// The instance of `peer` at `address`. It is `changed` whenever its state is another one.
    pub(crate) fn new(
        peer: &'static str,
        address: SocketAddr,
        settings: ChannelSettings,
        changed: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let state = Mutex::new(State::Dialling);
        let shared = Arc::new(Shared { peer, address, state, dial_now: Notify::new() });
        let (stop, kept) = (CancellationToken::new(), Arc::clone(&shared));
        let stopped = stop.clone();
        tokio::spawn(async move {
            tokio::select! { () = kept.keep_up(&settings, changed) => {}, () = stopped.cancelled() => {} }
        });
        Self { shared, _kept_up: stop.drop_guard() }
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// How it is now. A connection on which no call can be made any more is none.
    pub(crate) fn state(&self) -> State {
        match &*self.shared.locked() {
            State::Up(connection) if !connection.is_open() => State::Dialling,
            state => state.clone(),
        }
    }

    /// Has it dialled now, if it is down and was not dialled just now. Returns whether it will be.
    pub(crate) fn dial_now(&self) -> bool {
        let mut state = self.shared.locked();
        let may_be = matches!(&*state, State::Down(_, since) if since.elapsed() >= REDIAL_MIN);
        if may_be {
            *state = State::Dialling;
            self.shared.dial_now.notify_one();
        }
        may_be
    }
}

impl Shared {
    async fn keep_up(&self, settings: &ChannelSettings, changed: impl Fn()) {
        let mut wait_at_most = BACKOFF.0;
        loop {
            match timeout(settings.connect_timeout(), Connection::open(self.address, self.peer)).await {
                Ok(Ok(keeper)) => {
                    wait_at_most = BACKOFF.0;
                    self.keep(keeper, settings, &changed).await;
                }
                Ok(Err(cause)) => self.cannot_connect(cause, &mut wait_at_most, &changed).await,
                Err(_) => {
                    self.cannot_connect("no connection in time".to_owned(), &mut wait_at_most, &changed)
                        .await;
                }
            }
        }
    }

    async fn keep(&self, keeper: Keeper, settings: &ChannelSettings, changed: impl Fn()) {
        let since = Instant::now();
        self.set(State::Up(keeper.connection()));
        changed();
        let cause = keeper.keep(settings.keepalive_interval()).await;
        tracing::debug!(peer = self.peer, address = %self.address, cause, "a connection to an instance has ended");
        self.set(State::Dialling);
        changed();
        // A peer that takes connections only to end them is not dialled without a pause.
        sleep(REDIAL_MIN.saturating_sub(since.elapsed())).await;
    }

    async fn cannot_connect(&self, cause: String, wait_at_most: &mut Duration, changed: impl Fn()) {
        tracing::debug!(peer = self.peer, address = %self.address, cause, "cannot connect to an instance");
        self.set(State::Down(cause, Instant::now()));
        changed();
        tokio::select! {
            () = sleep(wait_at_most.mul_f64(fastrand::f64())) => {}
            () = self.dial_now.notified() => {}
        }
        *wait_at_most = (*wait_at_most * 2).min(BACKOFF.1);
        self.set(State::Dialling);
    }

    fn set(&self, state: State) {
        *self.locked() = state;
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
