//! Cancelling a withdrawal: before it, after it, at the same time and again.

use database::Connection;
use domain::{Amount, Balance, OrderId, Refusal, RequestId, UserId};
use sqlx::Connection as _;
use store::Pool;
use store::billing::{self, WithdrawError};

use crate::world::{Fresh, amount, balance, connect, ledger, process, request, until_waiting, user_with};

const ORDER: OrderId = OrderId(7);

/// Has the order paid; why not, if it is refused.
async fn pay(conn: &mut Connection, key: RequestId, user: UserId, price: Amount) -> Option<Refusal> {
    billing::pay_orders(conn, &[(key, ORDER, user, price)]).await.unwrap()[0]
}

async fn cancel(conn: &mut Connection, key: RequestId, user: UserId, price: Amount) -> Option<Amount> {
    billing::cancel_withdrawal(conn, key, ORDER, user, price).await.unwrap()
}

/// The ledger of a user who had 100.
async fn moves(pool: &Pool, user: UserId) -> Vec<(String, i64, i64)> {
    let ledger = ledger(pool, user).await;
    assert!(ledger.iter().skip(1).all(|(.., order)| *order == Some(ORDER.0)), "{ledger:?}");
    ledger.into_iter().skip(1).map(|(kind, amount, after, _)| (kind, amount, after)).collect()
}

#[tokio::test]
async fn a_withdrawal_that_was_made_is_refunded_once_and_stays_made() {
    let fresh = Fresh::start().await;
    let pool = fresh.billing(2).await;
    let (user, key, price) = (user_with(&pool, 100).await, request(), amount(60));
    let mut conn = connect(&pool).await;
    assert_eq!(pay(&mut conn, key, user, price).await, None);
    for _ in 0..3 {
        assert_eq!(cancel(&mut conn, key, user, price).await, Some(price));
        // A repeat is told what it was told before; what was refunded is not taken again.
        assert_eq!(pay(&mut conn, key, user, price).await, None);
    }
    let other = billing::cancel_withdrawal(&mut conn, key, ORDER, user, amount(61)).await;
    assert!(matches!(other, Err(WithdrawError::OtherMoney(ORDER))), "{other:?}");
    drop(conn);
    assert_eq!(moves(&pool, user).await, [("withdrawal".to_owned(), 60, 40), ("refund".to_owned(), 60, 100)]);
    assert_eq!(balance(&pool, user).await, Balance(100));
    fresh.stop().await;
}

#[tokio::test]
async fn a_withdrawal_that_comes_after_its_cancellation_is_refused() {
    let fresh = Fresh::start().await;
    let pool = fresh.billing(2).await;
    let (user, key, price) = (user_with(&pool, 100).await, request(), amount(60));
    let mut conn = connect(&pool).await;
    for _ in 0..3 {
        assert_eq!(cancel(&mut conn, key, user, price).await, None);
        assert_eq!(pay(&mut conn, key, user, price).await, Some(Refusal::Cancelled));
    }
    drop(conn);
    assert_eq!(moves(&pool, user).await, []);
    fresh.stop().await;
}

#[tokio::test]
async fn of_a_withdrawal_that_was_refused_there_is_nothing_to_refund() {
    let fresh = Fresh::start().await;
    let pool = fresh.billing(2).await;
    let (user, key, price) = (user_with(&pool, 100).await, request(), amount(101));
    let mut conn = connect(&pool).await;
    assert_eq!(pay(&mut conn, key, user, price).await, Some(Refusal::InsufficientFunds));
    assert_eq!(cancel(&mut conn, key, user, price).await, None);
    assert_eq!(pay(&mut conn, key, user, price).await, Some(Refusal::InsufficientFunds));
    drop(conn);
    assert_eq!(moves(&pool, user).await, []);
    fresh.stop().await;
}

/// Each begins before the other has committed, and so does not see it.
#[tokio::test]
async fn a_withdrawal_and_its_cancellation_at_the_same_time_leave_the_money_where_it_was() {
    for cancelled_first in [false, true] {
        let fresh = Fresh::start().await;
        let pool = fresh.billing(3).await;
        let (user, key, price) = (user_with(&pool, 100).await, request(), amount(60));
        let (mut conn, mut other) = (connect(&pool).await, connect(&pool).await);
        let mut first = conn.begin().await.unwrap();
        if cancelled_first {
            billing::cancel_withdrawal(&mut first, key, ORDER, user, price).await.unwrap();
        } else {
            billing::pay_orders(&mut first, &[(key, ORDER, user, price)]).await.unwrap();
        }
        let waiting = process(&mut other).await;
        let second = tokio::spawn(async move {
            if cancelled_first {
                assert_eq!(pay_alone(&mut other, key, user, price).await, Some(Refusal::Cancelled));
            } else {
                assert_eq!(cancel(&mut other, key, user, price).await, Some(price));
            }
        });
        let mut admin = fresh.admin().await;
        until_waiting(&mut admin, waiting).await;
        first.commit().await.unwrap();
        second.await.unwrap();
        drop(conn);
        assert_eq!(balance(&pool, user).await, Balance(100), "cancelled first: {cancelled_first}");
        fresh.stop().await;
    }
}

/// As [`pay`], once more where a statement met the other's key, as the consumer does: each time in a transaction, with which a debit
/// goes back whose withdrawal cannot be remembered.
async fn pay_alone(conn: &mut Connection, key: RequestId, user: UserId, price: Amount) -> Option<Refusal> {
    let mut tx = conn.begin().await.unwrap();
    let decided = billing::pay_orders(&mut tx, &[(key, ORDER, user, price)]).await;
    if let Ok(refused) = decided {
        tx.commit().await.unwrap();
        return refused[0];
    }
    tx.rollback().await.unwrap();
    pay(conn, key, user, price).await
}
