//! What every style must do for its users, one way or another.

mod orders;

use crate::harness::Suite;

pub fn register(suite: &mut Suite) {
    orders::register(suite);
}
