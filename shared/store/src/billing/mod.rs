//! Billing's tables: users, accounts, the ledger, and the requests that led to them.

use crate::{Pool, StoreError};

mod accounts;
mod requests;
mod users;

pub use accounts::{Deposit, DepositRefusal, WithdrawError, Withdrawal, deposit, withdraw, withdraw_all};
pub use requests::{FinishedRequest, find_request};
pub use users::{UpdateRefusal, User, find_user, lock_user, register, update_profile};

/// Creates the tables or brings them up to date. Safe to run by several replicas at once.
pub async fn migrate(pool: &Pool) -> Result<(), StoreError> {
    crate::migrate(pool, &sqlx::migrate!("migrations/billing")).await
}
