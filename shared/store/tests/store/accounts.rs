//! Money on one account: what is taken, what is refused, and what is remembered of both.

use domain::{Amount, Balance, OrderId, Refusal, UserId};
use sqlx::Connection as _;
use store::Once;
use store::billing::{self, Deposit, DepositRefusal, WithdrawError, Withdrawal};

use crate::world::{
    Fresh, amount, balance, connect, ledger, process, request, until_waiting, user, user_with,
};

/// Nobody's id.
const NOBODY: UserId = UserId(1_000_000);

#[tokio::test]
async fn an_order_is_charged_once_whoever_asks_and_a_refusal_stays() {
    let fresh = Fresh::start().await;
    let pool = fresh.billing(2).await;
    let user_id = user_with(&pool, 100).await;
    let mut conn = connect(&pool).await;
    let charge = |sum, order| Withdrawal { user_id, amount: amount(sum), order_id: Some(OrderId(order)) };
    let (first, refused) = (request(), request());
    assert_eq!(
        billing::withdraw(&mut conn, first, charge(60, 1)).await.unwrap(),
        Once::Done(Ok(Balance(40)))
    );
    assert_eq!(
        billing::withdraw(&mut conn, first, charge(60, 1)).await.unwrap(),
        Once::Repeated(Ok(Balance(40)))
    );
    assert_eq!(billing::withdraw(&mut conn, first, charge(61, 1)).await.unwrap(), Once::Reused);
    let other_key = billing::withdraw(&mut conn, request(), charge(20, 1)).await;
    assert!(matches!(other_key, Err(WithdrawError::OrderAlreadyCharged(OrderId(1)))), "{other_key:?}");

    let poor = Err(Refusal::InsufficientFunds);
    assert_eq!(billing::withdraw(&mut conn, refused, charge(50, 2)).await.unwrap(), Once::Done(poor));
    billing::deposit(&mut conn, request(), Deposit { user_id, amount: amount(100) }).await.unwrap();
    assert_eq!(billing::withdraw(&mut conn, refused, charge(50, 2)).await.unwrap(), Once::Repeated(poor));
    drop(conn);
    fresh.stop().await;
}

#[tokio::test]
async fn an_account_can_be_emptied_and_not_overdrawn_and_no_other_account_changes() {
    let fresh = Fresh::start().await;
    let pool = fresh.billing(2).await;
    let (user_id, other) = (user_with(&pool, 100).await, user_with(&pool, 100).await);
    let mut conn = connect(&pool).await;
    let take = |sum| Withdrawal { user_id, amount: amount(sum), order_id: None };
    let poor = Err(Refusal::InsufficientFunds);
    assert_eq!(billing::withdraw(&mut conn, request(), take(101)).await.unwrap(), Once::Done(poor));
    assert_eq!(billing::withdraw(&mut conn, request(), take(30)).await.unwrap(), Once::Done(Ok(Balance(70))));
    assert_eq!(billing::withdraw(&mut conn, request(), take(70)).await.unwrap(), Once::Done(Ok(Balance(0))));
    assert_eq!(billing::withdraw(&mut conn, request(), take(1)).await.unwrap(), Once::Done(poor));
    drop(conn);
    let entry = |kind: &str, sum, after| (kind.to_owned(), sum, after, None);
    assert_eq!(
        ledger(&pool, user_id).await,
        [entry("deposit", 100, 100), entry("withdrawal", 30, 70), entry("withdrawal", 70, 0)]
    );
    assert_eq!(ledger(&pool, other).await, [entry("deposit", 100, 100)]);
    assert_eq!((balance(&pool, user_id).await, balance(&pool, other).await), (Balance(0), Balance(100)));
    fresh.stop().await;
}

#[tokio::test]
async fn who_has_no_account_is_told_so_and_told_the_same_again() {
    let fresh = Fresh::start().await;
    let pool = fresh.billing(2).await;
    // Somebody else has one.
    user_with(&pool, 100).await;
    let mut conn = connect(&pool).await;
    let withdrawal = Withdrawal { user_id: NOBODY, amount: amount(1), order_id: Some(OrderId(1)) };
    let (key, unknown) = (request(), Err(Refusal::AccountNotFound));
    assert_eq!(billing::withdraw(&mut conn, key, withdrawal).await.unwrap(), Once::Done(unknown));
    assert_eq!(billing::withdraw(&mut conn, key, withdrawal).await.unwrap(), Once::Repeated(unknown));

    let deposit = Deposit { user_id: NOBODY, amount: amount(1) };
    let (key, unknown) = (request(), Err(DepositRefusal::AccountNotFound));
    assert_eq!(billing::deposit(&mut conn, key, deposit).await.unwrap(), Once::Done(unknown));
    assert_eq!(billing::deposit(&mut conn, key, deposit).await.unwrap(), Once::Repeated(unknown));
    drop(conn);
    fresh.stop().await;
}

#[tokio::test]
async fn a_deposit_is_made_once() {
    let fresh = Fresh::start().await;
    let pool = fresh.billing(2).await;
    let (user_id, other) = (user(&pool).await, user(&pool).await);
    let mut conn = connect(&pool).await;
    let deposit = Deposit { user_id, amount: amount(90) };
    let key = request();
    assert_eq!(billing::deposit(&mut conn, key, deposit).await.unwrap(), Once::Done(Ok(Balance(90))));
    assert_eq!(billing::deposit(&mut conn, key, deposit).await.unwrap(), Once::Repeated(Ok(Balance(90))));
    let more = Deposit { amount: amount(91), ..deposit };
    assert_eq!(billing::deposit(&mut conn, key, more).await.unwrap(), Once::Reused);
    let elsewhere = Deposit { user_id: other, ..deposit };
    assert_eq!(billing::deposit(&mut conn, key, elsewhere).await.unwrap(), Once::Reused);
    drop(conn);
    assert_eq!(ledger(&pool, user_id).await, [("deposit".to_owned(), 90, 90, None)]);
    assert_eq!((balance(&pool, user_id).await, balance(&pool, other).await), (Balance(90), Balance(0)));
    fresh.stop().await;
}

/// Not remembered: there may be room later.
#[tokio::test]
async fn an_account_holds_what_a_json_number_can_and_what_overflows_may_be_tried_again() {
    let fresh = Fresh::start().await;
    let pool = fresh.billing(2).await;
    let user_id = user_with(&pool, Amount::MAX - 10).await;
    let mut conn = connect(&pool).await;
    let put = |sum| Deposit { user_id, amount: amount(sum) };
    let full = Once::Done(Ok(Balance(Amount::MAX)));
    let too_much = Once::Done(Err(DepositRefusal::BalanceOverflow));
    assert_eq!(billing::deposit(&mut conn, request(), put(11)).await.unwrap(), too_much);
    assert_eq!(billing::deposit(&mut conn, request(), put(10)).await.unwrap(), full);
    let (key, other_key) = (request(), request());
    assert_eq!(billing::deposit(&mut conn, other_key, put(1)).await.unwrap(), too_much);
    assert_eq!(billing::deposit(&mut conn, key, put(1)).await.unwrap(), too_much);

    let take = Withdrawal { user_id, amount: amount(1), order_id: None };
    billing::withdraw(&mut conn, request(), take).await.unwrap();
    assert_eq!(billing::deposit(&mut conn, key, put(1)).await.unwrap(), full);
    drop(conn);
    fresh.stop().await;
}

/// The statement of the second began before the first was committed, and so does not see it.
#[tokio::test]
async fn a_withdrawal_that_is_repeated_at_the_same_time_is_made_once() {
    let fresh = Fresh::start().await;
    let pool = fresh.billing(3).await;
    let user_id = user_with(&pool, 100).await;
    let (key, withdrawal) = (request(), Withdrawal { user_id, amount: amount(30), order_id: None });
    let mut conn = connect(&pool).await;
    let mut first = conn.begin().await.unwrap();
    let done = billing::withdraw(&mut first, key, withdrawal).await.unwrap();
    assert_eq!(done, Once::Done(Ok(Balance(70))));

    let mut second = connect(&pool).await;
    let waiting = process(&mut second).await;
    let repeat = tokio::spawn(async move { billing::withdraw(&mut second, key, withdrawal).await });
    until_waiting(&mut first, waiting).await;
    first.commit().await.unwrap();
    assert_eq!(repeat.await.unwrap().unwrap(), Once::Repeated(Ok(Balance(70))));
    drop(conn);
    assert_eq!(balance(&pool, user_id).await, Balance(70));
    assert_eq!(ledger(&pool, user_id).await.len(), 2);
    fresh.stop().await;
}

#[tokio::test]
async fn two_withdrawals_at_the_same_time_do_not_take_the_same_money() {
    let fresh = Fresh::start().await;
    let pool = fresh.billing(3).await;
    let user_id = user_with(&pool, 100).await;
    let withdrawal = Withdrawal { user_id, amount: amount(60), order_id: None };
    let mut conn = connect(&pool).await;
    let mut first = conn.begin().await.unwrap();
    let done = billing::withdraw(&mut first, request(), withdrawal).await.unwrap();
    assert_eq!(done, Once::Done(Ok(Balance(40))));

    let mut second = connect(&pool).await;
    let waiting = process(&mut second).await;
    let other = tokio::spawn(async move { billing::withdraw(&mut second, request(), withdrawal).await });
    until_waiting(&mut first, waiting).await;
    first.commit().await.unwrap();
    assert_eq!(other.await.unwrap().unwrap(), Once::Done(Err(Refusal::InsufficientFunds)));
    drop(conn);
    assert_eq!(balance(&pool, user_id).await, Balance(40));
    fresh.stop().await;
}

#[tokio::test]
async fn a_deposit_that_is_repeated_at_the_same_time_waits_and_is_told_the_same() {
    let fresh = Fresh::start().await;
    let pool = fresh.billing(3).await;
    let user_id = user(&pool).await;
    let (key, deposit) = (request(), Deposit { user_id, amount: amount(30) });
    let mut conn = connect(&pool).await;
    let mut first = conn.begin().await.unwrap();
    billing::deposit(&mut first, key, deposit).await.unwrap();

    let mut second = connect(&pool).await;
    let waiting = process(&mut second).await;
    let repeat = tokio::spawn(async move { billing::deposit(&mut second, key, deposit).await });
    until_waiting(&mut first, waiting).await;
    first.commit().await.unwrap();
    assert_eq!(repeat.await.unwrap().unwrap(), Once::Repeated(Ok(Balance(30))));
    drop(conn);
    assert_eq!(balance(&pool, user_id).await, Balance(30));
    fresh.stop().await;
}
