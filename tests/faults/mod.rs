//! What breaks, and what must hold all the same.

mod away;
mod checker;
mod crashes;
mod database;
mod mail;
mod program;
mod smuggling;

use crate::harness::Suite;

pub fn register(suite: &mut Suite) {
    crashes::register(suite);
    away::register(suite);
    mail::register(suite);
    database::register(suite);
    checker::register(suite);
    smuggling::register(suite);
    program::register(suite);
}
