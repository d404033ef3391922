//! Orders: stored once per request, settled once and for good, read by pages.

use domain::{OrderId, OrderStatus, Refusal, RequestId, Settlement, UserId};
use sqlx::postgres::PgConnection;
use store::Once;
use store::order::{self, NewOrder, Order};

use crate::world::{Fresh, amount, connect, read_as_they_lie, request};

fn new_order(user: i64, price: i64) -> NewOrder {
    NewOrder { request: request(), user: UserId(user), price: amount(price), user_version: None }
}

async fn create(conn: &mut PgConnection, new: NewOrder) -> Order {
    let created = order::create(conn, new).await.unwrap();
    let Once::Done(order) = created else { panic!("{created:?}") };
    order
}

#[tokio::test]
async fn an_order_is_stored_as_asked_and_pending() {
    let fresh = Fresh::start().await;
    let pool = fresh.orders(1).await;
    let mut conn = connect(&pool).await;
    let new = NewOrder { user_version: Some(7), ..new_order(3, 90) };
    let order = create(&mut conn, new).await;
    assert_eq!((order.request_id, order.user_id, order.price), (new.request, new.user, new.price));
    assert_eq!((order.status, order.reason, order.version), (OrderStatus::Pending, None, 1));
    assert_eq!(order.settlement(), None);
    assert_eq!(order.created_at, order.updated_at);
    let user_version: i64 =
        sqlx::query_scalar("select user_version from orders").fetch_one(&mut *conn).await.unwrap();
    assert_eq!(user_version, 7);

    assert_eq!(order::find(&mut conn, order.id).await.unwrap(), Some(order.clone()));
    assert_eq!(order::find(&mut conn, OrderId(order.id.0 + 1)).await.unwrap(), None);
    create(&mut conn, new_order(3, 90)).await;
    assert_eq!(order::find_by_request(&mut conn, new.request).await.unwrap(), Some(order));
    assert_eq!(order::find_by_request(&mut conn, request()).await.unwrap(), None);
    drop(conn);
    fresh.stop().await;
}

#[tokio::test]
async fn the_same_request_finds_its_order_and_other_content_is_told() {
    let fresh = Fresh::start().await;
    let pool = fresh.orders(1).await;
    let mut conn = connect(&pool).await;
    let new = new_order(3, 90);
    let order = create(&mut conn, new).await;
    assert_eq!(order::create(&mut conn, new).await.unwrap(), Once::Repeated(order.clone()));
    // Another version of the profile is no other order.
    let later = NewOrder { user_version: Some(2), ..new };
    assert_eq!(order::create(&mut conn, later).await.unwrap(), Once::Repeated(order));
    for other in [NewOrder { user: UserId(4), ..new }, NewOrder { price: amount(91), ..new }] {
        assert_eq!(order::create(&mut conn, other).await.unwrap(), Once::Reused);
    }
    assert_eq!(order::page(&mut conn, None, OrderId(0), 10).await.unwrap().len(), 1);
    drop(conn);
    fresh.stop().await;
}

#[tokio::test]
async fn a_batch_of_orders_is_answered_in_its_order() {
    let fresh = Fresh::start().await;
    let pool = fresh.orders(1).await;
    let mut conn = connect(&pool).await;
    assert_eq!(order::create_all(&mut conn, &[]).await.unwrap(), []);
    let known = new_order(1, 10);
    let stored = create(&mut conn, known).await;
    let (one, two) = (new_order(1, 20), new_order(2, 30));
    let reused = NewOrder { price: amount(11), ..known };
    let outcomes = order::create_all(&mut conn, &[two, known, one, reused, two]).await.unwrap();
    let [Once::Done(second), Once::Repeated(known), Once::Done(first), Once::Reused, Once::Repeated(again)] =
        &outcomes[..]
    else {
        panic!("{outcomes:?}")
    };
    assert_eq!((second.request_id, first.request_id), (two.request, one.request));
    assert_eq!((known, again), (&stored, second));
    drop(conn);
    fresh.stop().await;
}

#[tokio::test]
async fn a_terminal_status_never_changes() {
    let fresh = Fresh::start().await;
    let pool = fresh.orders(1).await;
    let mut conn = connect(&pool).await;
    let (one, other) = (create(&mut conn, new_order(1, 10)).await, create(&mut conn, new_order(1, 10)).await);
    let paid = order::settle(&mut conn, one.id, Settlement::Paid).await.unwrap().unwrap();
    assert_eq!((paid.status, paid.reason, paid.version), (OrderStatus::Paid, None, 2));
    assert_eq!(paid.settlement(), Some(Settlement::Paid));
    assert!(paid.updated_at > paid.created_at);
    let unchanged =
        Order { status: one.status, version: one.version, updated_at: one.updated_at, ..paid.clone() };
    assert_eq!(unchanged, one);

    let rejected = Settlement::Rejected(Refusal::InsufficientFunds);
    for again in [Settlement::Paid, rejected] {
        assert_eq!(order::settle(&mut conn, one.id, again).await.unwrap(), None);
    }
    assert_eq!(order::find(&mut conn, one.id).await.unwrap(), Some(paid));
    assert_eq!(order::find(&mut conn, other.id).await.unwrap(), Some(other));
    drop(conn);
    fresh.stop().await;
}

#[tokio::test]
async fn a_batch_settles_each_pending_order_as_decided_and_tells_no_other() {
    let fresh = Fresh::start().await;
    let pool = fresh.orders(1).await;
    let mut conn = connect(&pool).await;
    assert!(order::settle_all(&mut conn, &[]).await.unwrap().is_empty());
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(create(&mut conn, new_order(1, 10)).await.id);
    }
    let (unknown, poor) =
        (Settlement::Rejected(Refusal::AccountNotFound), Settlement::Rejected(Refusal::InsufficientFunds));
    order::settle(&mut conn, ids[3], Settlement::Paid).await.unwrap().unwrap();
    let decided =
        [(ids[2], unknown), (ids[0], Settlement::Paid), (ids[1], poor), (ids[3], poor), (OrderId(99), poor)];
    let settled = order::settle_all(&mut conn, &decided).await.unwrap();
    assert_eq!(settled.len(), 3);
    for (id, settlement) in [(ids[0], Settlement::Paid), (ids[1], poor), (ids[2], unknown)] {
        assert_eq!((settled[&id].id, settled[&id].settlement()), (id, Some(settlement)));
        assert_eq!(order::find(&mut conn, id).await.unwrap().as_ref(), Some(&settled[&id]));
    }
    drop(conn);
    fresh.stop().await;
}

#[tokio::test]
async fn pages_go_on_where_the_last_one_ended() {
    let fresh = Fresh::start().await;
    let pool = fresh.orders(1).await;
    let mut conn = connect(&pool).await;
    let mut requests: Vec<RequestId> = Vec::new();
    for user in [1, 2, 1, 2, 1] {
        requests.push(create(&mut conn, new_order(user, 10)).await.request_id);
    }
    // Moves one in the table.
    let first = order::page(&mut conn, None, OrderId(0), 1).await.unwrap()[0].id;
    order::settle(&mut conn, first, Settlement::Paid).await.unwrap();
    read_as_they_lie(&mut conn).await;
    let mut page = async |user: Option<i64>, after, limit| {
        let orders = order::page(&mut conn, user.map(UserId), after, limit).await.unwrap();
        let last = orders.last().map_or(after, |order| order.id);
        let at = orders.iter().map(|order| requests.iter().position(|it| *it == order.request_id).unwrap());
        (at.collect::<Vec<_>>(), last)
    };
    let (orders, last) = page(None, OrderId(0), 3).await;
    assert_eq!(orders, [0, 1, 2]);
    assert_eq!(page(None, last, 3).await.0, [3, 4]);
    let (orders, last) = page(Some(1), OrderId(0), 2).await;
    assert_eq!(orders, [0, 2]);
    assert_eq!(page(Some(1), last, 2).await.0, [4]);
    assert_eq!(page(Some(3), OrderId(0), 2).await.0, [0; 0]);
    fresh.stop().await;
}
