//! What every style must do for its users, one way or another.

mod bookings;
mod cost;
mod hang_ups;
mod idempotency;
mod operations;
mod orders;
mod pages;
mod users;
mod waiting;

use crate::harness::Suite;

pub fn register(suite: &mut Suite) {
    orders::register(suite);
    bookings::register(suite);
    users::register(suite);
    waiting::register(suite);
    pages::register(suite);
    idempotency::register(suite);
    hang_ups::register(suite);
    operations::register(suite);
    cost::register(suite);
}
