//! All instances of a service: found again and again, and one chosen for each call.
//!
//! Round robin among those to which there is a connection. An instance that refuses, hangs or goes away has none, so it gets no
//! call until it has answered on a new one; that is asked for with backoff, by no call.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::connection::Connection;
use super::endpoint::{Endpoint, REDIAL_MIN, State};
use super::resolve::{Resolver, Target};
use super::settings::ChannelSettings;

/// The instances of a service.
pub(crate) struct Endpoints {
    shared: Arc<Shared>,
    begun: Once,
    stop: DropGuard,
}

struct Shared {
    peer: &'static str,
    target: Target,
    resolver: Resolver,
    settings: ChannelSettings,
    known: Mutex<Known>,
    /// The instance whose turn it is.
    turn: AtomicUsize,
    /// An instance has come, gone, or changed its state.
    changed: Notify,
    find_now: Notify,
}

#[derive(Default)]
struct Known {
    instances: Vec<Endpoint>,
    /// Why there are none.
    unresolved: Option<String>,
}

/// What a call finds.
enum Found {
    Connection(Connection),
    /// An instance is being connected to, or the name resolved.
    Pending,
    /// None can be connected to; the last reason.
    Nothing(String),
}

impl Endpoints {
    /// The instances of `peer` at `target`.
    pub(crate) fn new(
        peer: &'static str,
        target: Target,
        resolver: Resolver,
        settings: ChannelSettings,
    ) -> Self {
        let shared = Arc::new(Shared {
            peer,
            target,
            resolver,
            settings,
            known: Mutex::default(),
            turn: AtomicUsize::new(0),
            changed: Notify::new(),
            find_now: Notify::new(),
        });
        let endpoints = Self { shared, begun: Once::new(), stop: CancellationToken::new().drop_guard() };
        endpoints.begin();
        endpoints
    }

    /// Begins to look for instances; once, and only in a runtime.
    fn begin(&self) {
        let Ok(runtime) = Handle::try_current() else { return };
        self.begun.call_once(|| {
            let (shared, stop) = (Arc::clone(&self.shared), self.stop.token().clone());
            runtime.spawn(async move {
                tokio::select! { () = shared.find_all_the_time() => {}, () = stop.cancelled() => {} }
                shared.locked().instances.clear();
            });
        });
    }

    /// A connection for the next call, once there is one; to the instance at `avoided` only if there is no other.
    ///
    /// # Errors
    /// Why there is none: every instance was tried, or the time is over.
    pub(crate) async fn pick(
        &self,
        until: Instant,
        avoided: Option<SocketAddr>,
    ) -> Result<Connection, String> {
        self.begin();
        let mut tried = false;
        loop {
            let mut changed = pin!(self.shared.changed.notified());
            changed.as_mut().enable();
            match self.shared.look(avoided) {
                Found::Connection(connection) => return Ok(connection),
                Found::Nothing(cause) if tried => return Err(cause),
                // One that was away a moment ago may be the one that is there now: the others have gone since.
                Found::Nothing(_) => {
                    tried = true;
                    if !self.shared.try_now() {
                        sleep(REDIAL_MIN).await;
                        self.shared.try_now();
                    }
                }
                Found::Pending => {
                    if timeout_at(until, changed).await.is_err() {
                        return Err("no connection in time".to_owned());
                    }
                }
            }
        }
    }

    /// Whether there is a connection to another instance than the one at `address`.
    pub(crate) fn has_another_than(&self, address: SocketAddr) -> bool {
        let known = self.shared.locked();
        known.instances.iter().any(|it| it.address() != address && matches!(it.state(), State::Up(_)))
    }
}

impl Shared {
    /// Round robin. Others are better than the one at `avoided`, and than an instance on whose answer somebody has waited for long,
    /// until it says that it is there.
    fn look(&self, avoided: Option<SocketAddr>) -> Found {
        let known = self.locked();
        let count = known.instances.len();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let (mut second_choice, mut pending, mut down) = (None, false, None);
        for place in 0..count {
            match known.instances[(turn.wrapping_add(place)) % count].state() {
                State::Up(connection) if connection.is_suspected() || Some(connection.address) == avoided => {
                    second_choice = Some(connection);
                }
                State::Up(connection) => return Found::Connection(connection),
                State::Dialling => pending = true,
                State::Down(cause, _) => down = Some(cause),
            }
        }
        let nothing = down.or_else(|| known.unresolved.clone());
        match (second_choice, nothing) {
            (Some(connection), _) => Found::Connection(connection),
            (None, Some(cause)) if !pending => Found::Nothing(cause),
            _ => Found::Pending,
        }
    }

    /// Has every instance dialled that was not dialled just now, and their names resolved. Returns whether anything is done.
    fn try_now(&self) -> bool {
        self.find_now.notify_one();
        let mut known = self.locked();
        if known.instances.is_empty() {
            return known.unresolved.take().is_some();
        }
        known.instances.iter().filter(|it| it.dial_now()).count() > 0
    }

    async fn find_all_the_time(self: &Arc<Self>) {
        loop {
            let found = self.target.addresses(&self.resolver).await;
            self.update(found);
            self.changed.notify_waiters();
            tokio::select! {
                () = sleep(self.settings.resolve_interval()) => {}
                () = self.find_now.notified() => {}
            }
        }
    }

    /// Instances that are found no longer get no further calls. If none is found, those that are known are better than none: the
    /// fault may be the one of whoever was asked.
    fn update(self: &Arc<Self>, found: Result<BTreeSet<SocketAddr>, String>) {
        let mut known = self.locked();
        let found = match found {
            Ok(found) => found,
            Err(cause) => {
                tracing::warn!(peer = self.peer, cause, "no instances are found");
                known.unresolved = known.instances.is_empty().then_some(cause);
                return;
            }
        };
        known.unresolved = None;
        known.instances.retain(|it| found.contains(&it.address()));
        let is_new = |address: &SocketAddr| known.instances.iter().all(|it| it.address() != *address);
        let new: Vec<_> = found.into_iter().filter(is_new).collect();
        known.instances.extend(new.into_iter().map(|address| {
            let shared = Arc::downgrade(self);
            Endpoint::new(self.peer, address, self.settings.clone(), move || {
                if let Some(shared) = shared.upgrade() {
                    shared.note_change();
                }
            })
        }));
        metrics::gauge!("rpc_client_instances", "peer" => self.peer).set(count(known.instances.len()));
    }

    /// A connection has come or gone.
    fn note_change(&self) {
        let known = self.locked();
        let up = known.instances.iter().filter(|it| matches!(it.state(), State::Up(_))).count();
        let all_up = up == known.instances.len();
        drop(known);
        metrics::gauge!("rpc_client_instances_connected", "peer" => self.peer).set(count(up));
        if !all_up {
            // Instances may have been replaced by others.
            self.find_now.notify_one();
        }
        self.changed.notify_waiters();
    }

    fn locked(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(instances: usize) -> f64 {
    u32::try_from(instances).map_or(f64::INFINITY, f64::from)
}
