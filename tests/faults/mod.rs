//! What breaks, and what must hold all the same.

mod asking;
mod away;
mod barrier;
mod checker;
mod commands;
mod costly;
mod crash_points;
mod crashes;
mod database;
mod foreign;
mod growth;
mod mail;
mod members;
mod messages;
mod mistakes;
mod program;
mod races;
mod replicas;
mod rpc;
mod sagas;
mod smuggling;

use crate::harness::Suite;

pub fn register(suite: &mut Suite) {
    crash_points::register(suite);
    crashes::register(suite);
    away::register(suite);
    costly::register(suite);
    mail::register(suite);
    messages::register(suite);
    commands::register(suite);
    sagas::register(suite);
    races::register(suite);
    members::register(suite);
    foreign::register(suite);
    mistakes::register(suite);
    asking::register(suite);
    replicas::register(suite);
    rpc::register(suite);
    growth::register(suite);
    database::register(suite);
    checker::register(suite);
    smuggling::register(suite);
    program::register(suite);
}
