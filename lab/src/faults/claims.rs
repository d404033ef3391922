//! Who has what in hand: two faults may be active at the same time, but not on the same thing.

use std::collections::BTreeSet;

use tokio::sync::watch;

use crate::styles::Service;

/// Faults that are active at the same time, at most.
const ACTIVE_MAX: usize = 3;

/// What a fault needs for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Resource {
    Service(Service),
    Replica,
    Database,
    Broker,
    Mail,
    Repeats,
}

/// What is in hand, claim by claim.
#[derive(Clone, Default)]
pub(super) struct Claims(watch::Sender<Vec<BTreeSet<Resource>>>);

/// Ends when it is dropped.
pub(super) struct Claim {
    claims: Claims,
    resources: BTreeSet<Resource>,
}

impl Claims {
    /// Waits until all of `resources` are free and one more fault may begin.
    pub(super) async fn take(&self, resources: &[Resource]) -> Claim {
        let wanted: BTreeSet<Resource> = resources.iter().copied().collect();
        let mut changes = self.0.subscribe();
        loop {
            let taken = self.0.send_if_modified(|held| {
                let free = held.len() < ACTIVE_MAX && held.iter().all(|held| held.is_disjoint(&wanted));
                if free {
                    held.push(wanted.clone());
                }
                free
            });
            if taken {
                return Claim { claims: self.clone(), resources: wanted };
            }
            // Fails only when the sender is gone, and that is ours.
            let _ = changes.changed().await;
        }
    }

    /// Whether somebody has `resource` in hand.
    pub(super) fn is_taken(&self, resource: Resource) -> bool {
        self.0.borrow().iter().any(|held| held.contains(&resource))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.0.send_modify(|held| {
            if let Some(ours) = held.iter().position(|held| *held == self.resources) {
                held.swap_remove(ours);
            }
        });
    }
}
