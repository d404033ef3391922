//! What goes wrong between services that call each other by gRPC, and nowhere else.

mod bounds;
mod impostor;
mod messages;
mod mistake;
mod peers;
mod raw;
mod restarts;

use crate::harness::Suite;

pub fn register(suite: &mut Suite) {
    peers::register(suite);
    bounds::register(suite);
    mistake::register(suite);
    restarts::register(suite);
}
