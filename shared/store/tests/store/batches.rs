//! Withdrawals of a whole batch: decided as if they were made one after the other, in few statements.

use domain::{Balance, OrderId, Refusal, RequestId, UserId};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use store::billing::{self, WithdrawError, Withdrawal};
use store::{Once, Pool};

use crate::world::{Fresh, amount, balance, connect, ledger, request, user_with};

/// A withdrawal of `sum` for an order.
fn charge(user_id: UserId, sum: i64, order: i64) -> (RequestId, Withdrawal) {
    (request(), Withdrawal { user_id, amount: amount(sum), order_id: Some(OrderId(order)) })
}

fn withdrawal(sum: i64, after: i64, order: i64) -> (String, i64, i64, Option<i64>) {
    ("withdrawal".to_owned(), sum, after, Some(order))
}

async fn settle(pool: &Pool, batch: &[(RequestId, Withdrawal)]) -> Vec<Once<Result<Balance, Refusal>>> {
    let mut conn = connect(pool).await;
    let mut tx = conn.begin().await.unwrap();
    let outcomes = billing::withdraw_all(&mut tx, batch).await.unwrap();
    tx.commit().await.unwrap();
    outcomes
}

/// How often this session has written to an account, as far as it has not yet told the server's statistics.
async fn debits(conn: &mut PgConnection) -> i64 {
    sqlx::query_scalar("select n_tup_upd from pg_stat_xact_user_tables where relname = 'accounts'")
        .fetch_one(conn)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_batch_is_decided_as_its_withdrawals_would_be_one_after_the_other() {
    let fresh = Fresh::start().await;
    let pool = fresh.billing(2).await;
    let (rich, poor, stranger) =
        (user_with(&pool, 1_000).await, user_with(&pool, 100).await, UserId(1_000_000));
    let twice = charge(rich, 100, 1);
    let batch = [
        twice,
        charge(poor, 60, 2),
        charge(rich, 200, 3),
        // Both are more than the account has; the first of them is not.
        charge(poor, 60, 4),
        charge(stranger, 1, 5),
        twice,
        charge(poor, 40, 6),
    ];
    let paid = |left| Ok(Balance(left));
    let outcomes = [
        paid(900),
        paid(40),
        paid(700),
        Err(Refusal::InsufficientFunds),
        Err(Refusal::AccountNotFound),
        paid(900),
        paid(0),
    ];
    let mut first = outcomes.map(Once::Done);
    first[5] = Once::Repeated(outcomes[0]);
    assert_eq!(settle(&pool, &batch).await, first);
    assert_eq!(settle(&pool, &batch).await, outcomes.map(Once::Repeated));
    assert_eq!(ledger(&pool, rich).await[1..], [withdrawal(100, 900, 1), withdrawal(200, 700, 3)]);
    assert_eq!(ledger(&pool, poor).await[1..], [withdrawal(60, 40, 2), withdrawal(40, 0, 6)]);
    assert_eq!((balance(&pool, rich).await, balance(&pool, poor).await), (Balance(700), Balance(0)));
    fresh.stop().await;
}

#[tokio::test]
async fn what_is_known_is_not_made_again_beside_what_is_new() {
    let fresh = Fresh::start().await;
    let pool = fresh.billing(2).await;
    let user_id = user_with(&pool, 100).await;
    let known = charge(user_id, 30, 1);
    settle(&pool, &[known]).await;
    let other_sum = (known.0, Withdrawal { amount: amount(31), ..known.1 });
    assert_eq!(
        settle(&pool, &[charge(user_id, 20, 2), known, other_sum]).await,
        [Once::Done(Ok(Balance(50))), Once::Repeated(Ok(Balance(70))), Once::Reused]
    );
    assert_eq!(balance(&pool, user_id).await, Balance(50));
    assert_eq!(settle(&pool, &[]).await, []);
    fresh.stop().await;
}

/// As many withdrawals as the account covers are one write to it, and those of another account one more.
#[tokio::test]
async fn an_account_that_covers_its_withdrawals_is_debited_once_for_all_of_them() {
    let fresh = Fresh::start().await;
    let pool = fresh.billing(2).await;
    let (one, other) = (user_with(&pool, 100).await, user_with(&pool, 50).await);
    let batch = [charge(one, 60, 1), charge(other, 1, 2), charge(one, 40, 3)];
    let mut conn = connect(&pool).await;
    let mut tx = conn.begin().await.unwrap();
    let before = debits(&mut tx).await;
    let outcomes = billing::withdraw_all(&mut tx, &batch).await.unwrap();
    assert_eq!(outcomes, [40, 49, 0].map(|left| Once::Done(Ok(Balance(left)))));
    assert_eq!(debits(&mut tx).await - before, 2);
    tx.commit().await.unwrap();
    drop(conn);
    fresh.stop().await;
}

#[tokio::test]
async fn an_order_that_was_charged_under_another_request_fails_its_batch() {
    let fresh = Fresh::start().await;
    let pool = fresh.billing(2).await;
    let user_id = user_with(&pool, 100).await;
    settle(&pool, &[charge(user_id, 30, 1)]).await;
    // In another batch, in the same one, and where the account does not cover the batch.
    for (batch, charged) in [
        (vec![charge(user_id, 10, 2), charge(user_id, 30, 1)], OrderId(1)),
        (vec![charge(user_id, 10, 2), charge(user_id, 20, 3), charge(user_id, 10, 3)], OrderId(3)),
        (vec![charge(user_id, 60, 2), charge(user_id, 10, 1), charge(user_id, 10, 3)], OrderId(1)),
    ] {
        let mut conn = connect(&pool).await;
        let mut tx = conn.begin().await.unwrap();
        let error = billing::withdraw_all(&mut tx, &batch).await.unwrap_err();
        assert!(matches!(error, WithdrawError::OrderAlreadyCharged(order) if order == charged), "{error:?}");
        tx.rollback().await.unwrap();
    }
    assert_eq!(balance(&pool, user_id).await, Balance(70));
    fresh.stop().await;
}
