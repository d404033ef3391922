//! What billing remembers of a request, for whoever asks how it ended.

use domain::{OrderId, RequestId};
use serde_json::json;
use sqlx::Connection as _;
use store::billing::{self, Deposit, FinishedRequest, Withdrawal};

use crate::world::{Fresh, amount, connect, registration, request, user_with};

#[tokio::test]
async fn a_request_is_found_with_what_it_asked_for_and_how_it_ended() {
    let fresh = Fresh::start().await;
    let pool = fresh.billing(2).await;
    let user_id = user_with(&pool, 100).await;
    let mut conn = connect(&pool).await;
    let keys: [RequestId; 5] = std::array::from_fn(|_| request());
    let take = |sum, order_id| Withdrawal { user_id, amount: amount(sum), order_id };
    let registered = billing::register(&mut conn, keys[0], &registration(), "hash").await.unwrap();
    let store::Once::Done(Ok(registered)) = registered else { panic!("{registered:?}") };
    billing::deposit(&mut conn, keys[1], Deposit { user_id, amount: amount(10) }).await.unwrap();
    billing::withdraw(&mut conn, keys[2], take(20, None)).await.unwrap();
    billing::withdraw(&mut conn, keys[3], take(91, Some(OrderId(1)))).await.unwrap();
    billing::withdraw_all(&mut conn, &[(keys[4], take(90, Some(OrderId(2))))]).await.unwrap();
    let expected = [
        ("create-user", json!({"Ok": registered})),
        ("deposit", json!({"Ok": 110})),
        ("withdraw", json!({"Ok": 90})),
        ("pay-order", json!({"Err": "insufficient-funds"})),
        ("pay-order", json!({"Ok": 0})),
    ];
    for (key, (operation, outcome)) in keys.into_iter().zip(expected) {
        let found = billing::find_request(&mut conn, key).await.unwrap().expect(operation);
        let FinishedRequest { operation: found_operation, outcome: found_outcome } = found;
        assert_eq!((found_operation.as_str(), found_outcome.0), (operation, outcome));
    }
    drop(conn);
    fresh.stop().await;
}

#[tokio::test]
async fn a_request_that_is_unknown_or_has_not_ended_is_not_found() {
    let fresh = Fresh::start().await;
    let pool = fresh.billing(1).await;
    let mut conn = connect(&pool).await;
    let (unknown, begun) = (request(), request());
    let mut tx = conn.begin().await.unwrap();
    // As it is while its transaction runs.
    sqlx::query("insert into requests (request_id, operation, asked) values ($1, 'deposit', '{}')")
        .bind(begun)
        .execute(&mut *tx)
        .await
        .unwrap();
    assert!(billing::find_request(&mut tx, unknown).await.unwrap().is_none());
    assert!(billing::find_request(&mut tx, begun).await.unwrap().is_none());
    tx.rollback().await.unwrap();
    drop(conn);
    fresh.stop().await;
}
