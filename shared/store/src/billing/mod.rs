//! Billing's tables: users, accounts, the ledger, and the requests that led to them.

use sqlx::migrate::Migrator;

mod accounts;
mod refunds;
mod requests;
mod users;

pub use accounts::{
    Deposit, DepositRefusal, WithdrawError, Withdrawal, deposit, pay_orders, withdraw, withdraw_all,
};
pub use refunds::cancel_withdrawal;
pub use requests::{FinishedRequest, find_request};
pub use users::{UpdateRefusal, User, addresses, find_user, lock_user, register, update_profile};

/// The service's tables.
pub fn migrations() -> Migrator {
    sqlx::migrate!("migrations/billing")
}
