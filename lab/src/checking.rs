//! Whether a style is right: the consistency checker, and the invariants that it computes.

mod checker;
mod invariant;
mod messages;
mod rules;

pub use self::checker::Checker;
pub use self::invariant::{Invariant, Violation};
