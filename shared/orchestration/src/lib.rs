//! What synchronous orchestrators share: the list of unfinished orders, with the steps that need nobody else; recovery; and waiting.
//!
//! An orchestrator keeps the state of a flow in its own memory, and that is lost with the process. What must not be lost is one
//! row per order that is not finished yet, written with the order itself. Recovery takes the rows that are due and runs the flow
//! again from where the order stands. The flow itself is each style's: see [`Flow`].

mod deadlines;
mod flow;
mod recovery;
mod settings;
mod steps;
mod unfinished;
mod waiting;

pub use deadlines::SagaSettings;
pub use flow::{Flow, FlowError};
pub use recovery::recover_until;
pub use settings::RecoverySettings;
use sqlx::migrate::Migrator;
pub use unfinished::Unfinished;
pub use waiting::{Asked, known_order, outcome, settled_after_news, settled_before};

/// The table of unfinished orders, for the schema of the order service.
pub fn migrations() -> Migrator {
    let mut migrator = sqlx::migrate!();
    // Beside the migrations that every style shares.
    migrator.dangerous_set_table_name("_recovery_migrations");
    migrator
}
