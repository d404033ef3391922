//! Cancelling an order's withdrawal: it is refunded, or it never happens.

use domain::{Amount, Balance, Operation, OrderId, Refusal, RequestId, UserId};
use serde_json::json;
use sqlx::postgres::PgConnection;
use sqlx::types::Json;

use super::accounts::{WithdrawError, Withdrawal, payment};
use super::requests;
use crate::{Once, StoreError, mistake};

/// Cancels the withdrawal for an order that `request` made or is still to make, as [`pay_orders`](super::pay_orders) knows it.
/// Says how much was refunded; `None` where nothing was withdrawn.
///
/// The two commute. Both are about one row of `requests`, whose key lets one of them come first: a withdrawal that was made is
/// refunded, once; one that was not finds a tombstone, the refusal that is remembered in its place.
///
/// # Errors
/// When the request asked for other money than this.
pub async fn cancel_withdrawal(
    conn: &mut PgConnection,
    request: RequestId,
    order: OrderId,
    user: UserId,
    amount: Amount,
) -> Result<Option<Amount>, WithdrawError> {
    if mistake::is_made("mistake::no_compensation") {
        return Ok(None);
    }
    let (key, withdrawal) = payment(&(request, order, user, amount));
    if mistake::is_made("mistake::no_tombstone") {
        return cancel_only_what_is_there(conn, request, withdrawal).await;
    }
    let tombstone = sqlx::query(
        "insert into requests (request_id, operation, asked, outcome) values ($1, $2, $3, $4) on conflict do nothing",
    )
    .bind(key)
    .bind(withdrawal.operation().as_str())
    .bind(Json(withdrawal))
    .bind(Json(json!({"Err": Refusal::Cancelled})));
    if tombstone.execute(&mut *conn).await?.rows_affected() == 1 {
        return Ok(None);
    }
    match requests::repeated::<Result<Balance, Refusal>>(conn, key, &withdrawal).await? {
        Once::Done(Ok(_)) | Once::Repeated(Ok(_)) => {}
        Once::Done(Err(_)) | Once::Repeated(Err(_)) => return Ok(None),
        Once::Reused => return Err(WithdrawError::OtherMoney(order)),
    }
    refund(conn, RequestId::derive(Operation::RefundOrder, &request.to_string()), withdrawal).await?;
    Ok(Some(amount))
}

/// A mistake on purpose: a withdrawal that comes after its cancellation is made all the same.
async fn cancel_only_what_is_there(
    conn: &mut PgConnection,
    request: RequestId,
    withdrawal: Withdrawal,
) -> Result<Option<Amount>, WithdrawError> {
    let is_there = "select exists (select from ledger where order_id = $1 and kind = 'withdrawal')";
    if !sqlx::query_scalar(is_there).bind(withdrawal.order_id).fetch_one(&mut *conn).await? {
        return Ok(None);
    }
    refund(conn, RequestId::derive(Operation::RefundOrder, &request.to_string()), withdrawal).await?;
    Ok(Some(withdrawal.amount))
}

/// Gives the money back, once per order. One of two that do so at the same time violates the ledger's key, and is to be tried
/// again: then it finds that it is done.
async fn refund(
    conn: &mut PgConnection,
    request: RequestId,
    withdrawal: Withdrawal,
) -> Result<(), StoreError> {
    let Withdrawal { user_id, amount, order_id } = withdrawal;
    sqlx::query(
        "with credit as (
             update accounts set balance = balance + $3
             where user_id = $2 and not exists (select from ledger where order_id = $4 and kind = 'refund')
             returning balance
         ), entry as (
             insert into ledger (user_id, kind, amount, balance_after, order_id)
             select $2, 'refund', $3, balance, $4 from credit
         )
         insert into requests (request_id, operation, asked, outcome)
         select $1, $5, $6, jsonb_build_object('Ok', balance) from credit",
    )
    .bind(request)
    .bind(user_id)
    .bind(amount)
    .bind(order_id)
    .bind(Operation::RefundOrder.as_str())
    .bind(Json(withdrawal))
    .execute(conn)
    .await?;
    Ok(())
}
