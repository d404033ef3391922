//! Accounts and the ledger: the two places where money moves.

use std::collections::BTreeMap;

use domain::{Amount, Balance, Operation, OrderId, Refusal, RequestId, UserId};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgConnection;
use sqlx::types::Json;

use super::requests::{self, Begun};
#[cfg(feature = "failpoints")]
use crate::mistake;
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
    /// The same request asked for other money for this order before.
    #[error("order {0} asks for other money than before")]
    OtherMoney(OrderId),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for WithdrawError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
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
///
/// One statement: the debit is conditional, so that no two withdrawals see the same money, and is remembered with its outcome.
/// A repeat that runs at the same time violates the key of `requests` and takes its debit back with it; outside of a
/// transaction it then finds the outcome of the first, within one it is to be tried again.
pub async fn withdraw(
    conn: &mut PgConnection,
    request: RequestId,
    withdrawal: Withdrawal,
) -> Result<Once<Result<Balance, Refusal>>, WithdrawError> {
    #[cfg(feature = "failpoints")]
    if mistake::is_made("mistake::racy_debit") {
        return racy_withdraw(conn, request, withdrawal).await;
    }
    let Withdrawal { user_id, amount, order_id } = withdrawal;
    let refused = |why: Refusal| Json(Err::<Balance, _>(why));
    let decided: Result<Option<Json<Result<Balance, Refusal>>>, sqlx::Error> = sqlx::query_scalar(
        "with debit as (
             update accounts set balance = balance - $5
             where user_id = $4 and balance >= $5 and not exists (select from requests where request_id = $1)
             returning balance
         ), entry as (
             insert into ledger (user_id, kind, amount, balance_after, order_id)
             select $4, 'withdrawal', $5, balance, $6 from debit
         )
         insert into requests (request_id, operation, asked, outcome)
         select $1, $2, $3, coalesce(
             (select jsonb_build_object('Ok', balance) from debit),
             case when exists (select from accounts where user_id = $4) then $7::jsonb else $8::jsonb end)
         where not exists (select from requests where request_id = $1)
         returning outcome",
    )
    .bind(request)
    .bind(withdrawal.operation().as_str())
    .bind(Json(withdrawal))
    .bind(user_id)
    .bind(amount)
    .bind(order_id)
    .bind(refused(Refusal::InsufficientFunds))
    .bind(refused(Refusal::AccountNotFound))
    .fetch_optional(&mut *conn)
    .await;
    match decided {
        Ok(Some(Json(outcome))) => Ok(Once::Done(outcome)),
        Ok(None) => Ok(requests::repeated(conn, request, &withdrawal).await?),
        Err(sqlx::Error::Database(error)) if error.constraint() == Some("requests_pkey") => {
            Ok(requests::repeated(conn, request, &withdrawal).await?)
        }
        Err(error) => Err(not_charged(error, order_id)),
    }
}

/// Withdrawals as [`withdraw`] makes them one after the other, in a few statements for all of them; says of each, in their
/// order, what became of it.
///
/// The debit of all withdrawals from an account is one, conditional on the balance covering them all. Where it does not, and for
/// repeats, they are made one by one.
///
/// # Errors
/// When one of them cannot be decided; nothing of the batch may be committed then.
pub async fn withdraw_all(
    conn: &mut PgConnection,
    asked: &[(RequestId, Withdrawal)],
) -> Result<Vec<Once<Result<Balance, Refusal>>>, WithdrawError> {
    let together = settle_together(conn, asked).await?;
    let mut outcomes = Vec::with_capacity(asked.len());
    for (&(request, withdrawal), balance) in asked.iter().zip(together) {
        outcomes.push(match balance {
            Some(balance) => Once::Done(Ok(balance)),
            None => withdraw(conn, request, withdrawal).await?,
        });
    }
    Ok(outcomes)
}

/// The money of each of these orders, as [`withdraw_all`] takes it: why not, where it was refused. A repeat is told the same.
///
/// # Errors
/// When a request asks for other money than before; nothing of the batch may be committed then.
pub async fn pay_orders(
    conn: &mut PgConnection,
    asked: &[(RequestId, OrderId, UserId, Amount)],
) -> Result<Vec<Option<Refusal>>, WithdrawError> {
    let wanted: Vec<(RequestId, Withdrawal)> = asked.iter().map(payment).collect();
    let decided = withdraw_all(conn, &wanted).await?.into_iter().zip(asked);
    let refused = decided.map(|(outcome, (_, order, ..))| match outcome {
        Once::Done(outcome) | Once::Repeated(outcome) => Ok(outcome.err()),
        Once::Reused => Err(WithdrawError::OtherMoney(*order)),
    });
    refused.collect()
}

/// The withdrawal for an order, and the request under which it is remembered.
pub(super) fn payment(
    &(request, order_id, user_id, amount): &(RequestId, OrderId, UserId, Amount),
) -> (RequestId, Withdrawal) {
    let key = RequestId::derive(Operation::PayOrder, &request.to_string());
    (key, Withdrawal { user_id, amount, order_id: Some(order_id) })
}

/// The balance after each withdrawal that could be made together with the others; `None` for the rest.
async fn settle_together(
    conn: &mut PgConnection,
    asked: &[(RequestId, Withdrawal)],
) -> Result<Vec<Option<Balance>>, WithdrawError> {
    let mut balances = vec![None; asked.len()];
    #[cfg(feature = "failpoints")]
    if mistake::is_made("mistake::racy_debit") {
        return Ok(balances);
    }
    let mut known = requests::known(conn, asked.iter().map(|(request, _)| *request)).await?;
    // What comes a second time in one batch is a repeat, too.
    let new: Vec<usize> = (0..asked.len()).filter(|&at| known.insert(asked[at].0)).collect();
    let mut totals: BTreeMap<UserId, i64> = BTreeMap::new();
    for &at in &new {
        let Withdrawal { user_id, amount, .. } = asked[at].1;
        let total = totals.entry(user_id).or_default();
        *total = total.saturating_add(amount.minor_units());
    }
    let mut held = debit_totals(conn, &totals).await?;
    let mut made = Vec::with_capacity(new.len());
    for at in new {
        let Withdrawal { user_id, amount, .. } = asked[at].1;
        if let Some(balance) = held.get_mut(&user_id) {
            *balance -= amount.minor_units();
            balances[at] = Some(Balance(*balance));
            made.push((asked[at], Balance(*balance)));
        }
    }
    if !made.is_empty() {
        remember(conn, &made).await?;
    }
    Ok(balances)
}

/// Takes `totals` from those accounts that cover them; says what these held before.
async fn debit_totals(
    conn: &mut PgConnection,
    totals: &BTreeMap<UserId, i64>,
) -> Result<BTreeMap<UserId, i64>, StoreError> {
    let held: Vec<(UserId, i64)> = sqlx::query_as(
        "update accounts set balance = balance - wanted.total
         from unnest($1::bigint[], $2::bigint[]) as wanted (user_id, total)
         where accounts.user_id = wanted.user_id and balance >= wanted.total
         returning accounts.user_id, balance + wanted.total",
    )
    .bind(totals.keys().map(|user| user.0).collect::<Vec<_>>())
    .bind(totals.values().copied().collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    Ok(held.into_iter().collect())
}

/// Writes withdrawals, and the balance after each, into the ledger and among the requests.
///
/// # Errors
/// When one of the orders is charged already, or twice here: a violated key would not say which.
async fn remember(
    conn: &mut PgConnection,
    made: &[((RequestId, Withdrawal), Balance)],
) -> Result<(), WithdrawError> {
    fn column<T>(
        made: &[((RequestId, Withdrawal), Balance)],
        of: impl Fn(&Withdrawal, RequestId, Balance) -> T,
    ) -> Vec<T> {
        made.iter().map(|((request, withdrawal), balance)| of(withdrawal, *request, *balance)).collect()
    }
    let charged: Option<OrderId> = sqlx::query_scalar(
        "with made as (
             select * from unnest($1::uuid[], $2::text[], $3::jsonb[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
                 as made (request_id, operation, asked, user_id, amount, balance_after, order_id)
         ), entry as (
             insert into ledger (user_id, kind, amount, balance_after, order_id)
             select user_id, 'withdrawal', amount, balance_after, order_id from made
             on conflict on constraint ledger_order_kind_key do nothing
             returning order_id
         ), remembered as (
             insert into requests (request_id, operation, asked, outcome)
             select request_id, operation, asked, jsonb_build_object('Ok', balance_after) from made
         )
         select order_id from (select order_id from made except all select order_id from entry) charged limit 1",
    )
    .bind(column(made, |_, request, _| request.0))
    .bind(column(made, |withdrawal, _, _| withdrawal.operation().as_str()))
    .bind(column(made, |withdrawal, _, _| Json(*withdrawal)))
    .bind(column(made, |withdrawal, _, _| withdrawal.user_id.0))
    .bind(column(made, |withdrawal, _, _| withdrawal.amount.minor_units()))
    .bind(column(made, |_, _, balance| balance.0))
    .bind(column(made, |withdrawal, _, _| withdrawal.order_id.map(|order| order.0)))
    .fetch_optional(conn)
    .await?;
    charged.map_or(Ok(()), |order| Err(WithdrawError::OrderAlreadyCharged(order)))
}

/// What an error of a withdrawal says: somebody else has charged the order, or the database failed.
fn not_charged(error: sqlx::Error, order: Option<OrderId>) -> WithdrawError {
    match (error, order) {
        (sqlx::Error::Database(error), Some(order))
            if error.constraint() == Some("ledger_order_kind_key") =>
        {
            WithdrawError::OrderAlreadyCharged(order)
        }
        (error, _) => StoreError::from(error).into(),
    }
}

/// A mistake on purpose: the account is debited by [`racy_debit`].
#[cfg(feature = "failpoints")]
async fn racy_withdraw(
    conn: &mut PgConnection,
    request: RequestId,
    withdrawal: Withdrawal,
) -> Result<Once<Result<Balance, Refusal>>, WithdrawError> {
    match requests::begin(conn, request, withdrawal.operation(), &withdrawal).await? {
        Begun::First => {}
        Begun::Repeated(outcome) => return Ok(Once::Repeated(outcome)),
        Begun::Reused => return Ok(Once::Reused),
    }
    let outcome = match racy_debit(conn, withdrawal).await? {
        Some(balance) => Ok(balance),
        None if account_exists(conn, withdrawal.user_id).await? => Err(Refusal::InsufficientFunds),
        None => Err(Refusal::AccountNotFound),
    };
    requests::finish(conn, request, &outcome).await?;
    Ok(Once::Done(outcome))
}

/// The mistake itself: reads, thinks, and writes what it has thought.
#[cfg(feature = "failpoints")]
async fn racy_debit(
    conn: &mut PgConnection,
    withdrawal: Withdrawal,
) -> Result<Option<Balance>, WithdrawError> {
    let Withdrawal { user_id, amount, order_id } = withdrawal;
    let balance = sqlx::query_scalar("select balance, pg_sleep(0.05) from accounts where user_id = $1");
    let balance: Option<i64> =
        balance.bind(user_id).fetch_optional(&mut *conn).await.map_err(StoreError::from)?;
    let Some(left) = balance.map(|balance| balance - amount.minor_units()).filter(|left| *left >= 0) else {
        return Ok(None);
    };
    sqlx::query(
        "with debit as (update accounts set balance = $2 where user_id = $1)
         insert into ledger (user_id, kind, amount, balance_after, order_id) values ($1, 'withdrawal', $3, $2, $4)",
    )
    .bind(user_id)
    .bind(left)
    .bind(amount)
    .bind(order_id)
    .execute(conn)
    .await
    .map_err(StoreError::from)?;
    Ok(Some(Balance(left)))
}

async fn account_exists(conn: &mut PgConnection, user: UserId) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar("select exists (select from accounts where user_id = $1)")
        .bind(user)
        .fetch_one(conn)
        .await?)
}
