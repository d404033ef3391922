//! What takes long to make and comes to no harm by being used, handed from one case to the next.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Things between two uses. Nobody gets one while another has it.
pub struct Shelf<T>(Mutex<Content<T>>);

struct Content<T> {
    free: Vec<T>,
    users_to_come: usize,
}

impl<T> Shelf<T> {
    pub const fn new() -> Self {
        Self(Mutex::new(Content { free: Vec::new(), users_to_come: 0 }))
    }

    /// Somebody will come, if that case is run.
    pub fn expect_user(&self) {
        self.lock().users_to_come += 1;
    }

    /// What another has left, for somebody who was expected.
    pub fn take(&self) -> Option<T> {
        let mut content = self.lock();
        content.users_to_come -= 1;
        content.free.pop()
    }

    /// Leaves `thing` for those to come. It comes back if there is enough for all of them.
    #[must_use]
    pub fn leave(&self, thing: T) -> Option<T> {
        let mut content = self.lock();
        if content.free.len() >= content.users_to_come {
            return Some(thing);
        }
        content.free.push(thing);
        None
    }

    /// What nobody came for.
    pub fn clear(&self) -> Vec<T> {
        std::mem::take(&mut self.lock().free)
    }

    fn lock(&self) -> MutexGuard<'_, Content<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
