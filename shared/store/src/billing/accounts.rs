//! Accounts and the ledger: the two places where money moves.

use domain::{Amount, Balance, Operation, OrderId, Refusal, RequestId, UserId};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgConnection;

use super::requests::{self, Begun};
use crate::{Once, StoreError};

/// A request to put money on an account.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Deposit {
    /// Whose account.
    pub user_id: UserId,
    /// How much.
    pub amount: Amount,
}

/// Why a deposit was refused. An outcome, not a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DepositRefusal {
    /// There is no such user, hence no account.
    AccountNotFound,
    /// The balance would exceed [`Amount::MAX`]. Not remembered: the same request may succeed later.
    BalanceOverflow,
}

/// A request to take money from an account, for an order or directly.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Withdrawal {
    /// Whose account.
    pub user_id: UserId,
    /// How much.
    pub amount: Amount,
    /// The order that is to be paid with it.
    pub order_id: Option<OrderId>,
}

impl Withdrawal {
    /// What its request asks for.
    pub fn operation(&self) -> Operation {
        if self.order_id.is_some() { Operation::PayOrder } else { Operation::Withdraw }
    }
}

/// A withdrawal that could not be decided.
#[derive(Debug, thiserror::Error)]
pub enum WithdrawError {
    /// Another request has charged this order. Only a caller that changes its key between tries sees this.
    #[error("order {0} was charged under another request")]
    OrderAlreadyCharged(OrderId),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Puts money on an account, once per `request`, and says what it holds then.
pub async fn deposit(
    conn: &mut PgConnection,
    request: RequestId,
    deposit: Deposit,
) -> Result<Once<Result<Balance, DepositRefusal>>, StoreError> {
    match requests::begin(conn, request, Operation::Deposit, &deposit).await? {
        Begun::First => {}
        Begun::Repeated(outcome) => return Ok(Once::Repeated(outcome)),
        Begun::Reused => return Ok(Once::Reused),
    }
    let credited: Option<Balance> = sqlx::query_scalar(
        "with credit as (
             update accounts set balance = balance + $2 where user_id = $1 and balance <= $3 - $2 returning balance
         ), entry as (
             insert into ledger (user_id, kind, amount, balance_after)
             select $1, 'deposit', $2, balance from credit
         )
         select balance from credit",
    )
    .bind(deposit.user_id)
    .bind(deposit.amount)
    .bind(Amount::MAX)
    .fetch_optional(&mut *conn)
    .await?;
    let outcome = match credited {
        Some(balance) => Ok(balance),
        None if account_exists(conn, deposit.user_id).await? => {
            requests::forget(conn, request).await?;
            return Ok(Once::Done(Err(DepositRefusal::BalanceOverflow)));
        }
        None => Err(DepositRefusal::AccountNotFound),
    };
    requests::finish(conn, request, &outcome).await?;
    Ok(Once::Done(outcome))
}

/// Takes money from an account if it is there, once per `request`, and says what the account holds then. Refusals are
/// remembered too: an order that was refused stays refused, whatever is deposited between two tries.
pub async fn withdraw(
    conn: &mut PgConnection,
    request: RequestId,
    withdrawal: Withdrawal,
) -> Result<Once<Result<Balance, Refusal>>, WithdrawError> {
    match requests::begin(conn, request, withdrawal.operation(), &withdrawal).await? {
        Begun::First => {}
        Begun::Repeated(outcome) => return Ok(Once::Repeated(outcome)),
        Begun::Reused => return Ok(Once::Reused),
    }
    let outcome = match debit(conn, withdrawal).await? {
        Some(balance) => Ok(balance),
        None if account_exists(conn, withdrawal.user_id).await? => Err(Refusal::InsufficientFunds),
        None => Err(Refusal::AccountNotFound),
    };
    requests::finish(conn, request, &outcome).await?;
    Ok(Once::Done(outcome))
}

/// One conditional statement: whoever reads the balance first and writes it later lets two withdrawals see the same money.
async fn debit(conn: &mut PgConnection, withdrawal: Withdrawal) -> Result<Option<Balance>, WithdrawError> {
    let Withdrawal { user_id, amount, order_id } = withdrawal;
    let debited = sqlx::query_scalar(
        "with debit as (
             update accounts set balance = balance - $2 where user_id = $1 and balance >= $2 returning balance
         ), entry as (
             insert into ledger (user_id, kind, amount, balance_after, order_id)
             select $1, 'withdrawal', $2, balance, $3 from debit
         )
         select balance from debit",
    )
    .bind(user_id)
    .bind(amount)
    .bind(order_id)
    .fetch_optional(conn)
    .await;
    match (debited, order_id) {
        (Ok(balance), _) => Ok(balance),
        (Err(sqlx::Error::Database(error)), Some(order))
            if error.constraint() == Some("ledger_order_kind_key") =>
        {
            Err(WithdrawError::OrderAlreadyCharged(order))
        }
        (Err(error), _) => Err(StoreError::from(error).into()),
    }
}

async fn account_exists(conn: &mut PgConnection, user: UserId) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar("select exists (select from accounts where user_id = $1)")
        .bind(user)
        .fetch_one(conn)
        .await?)
}
