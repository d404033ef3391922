//! Emails: one per request, one per order.

use std::collections::HashSet;

use domain::{EmailId, OrderId, UserId};
use sqlx::postgres::PgConnection;
use store::Once;
use store::notification::{self, Email, EmailQueue, NewEmail};

use crate::world::{Fresh, connect, read_as_they_lie, request};

/// An email to a user, about an order or not.
pub fn email(user: i64, order_id: Option<i64>) -> NewEmail {
    NewEmail {
        user_id: UserId(user),
        email: "a@example.org".to_owned(),
        title: "Order is paid".to_owned(),
        message: "m".to_owned(),
        order_id: order_id.map(OrderId),
        traceparent: None,
    }
}

/// All emails of a user, who has few.
pub async fn emails_of(conn: &mut PgConnection, user: i64) -> Vec<Email> {
    notification::page(conn, UserId(user), EmailId(0), 100).await.unwrap()
}

#[tokio::test]
async fn an_email_is_stored_as_told_and_listed_for_its_user_oldest_first() {
    let fresh = Fresh::start().await;
    let pool = fresh.emails(1).await;
    let mut conn = connect(&pool).await;
    let about = NewEmail { title: "t".to_owned(), message: "text".to_owned(), ..email(1, Some(7)) };
    let Once::Done(first) = notification::enqueue(&mut conn, request(), about).await.unwrap() else {
        panic!("it is new")
    };
    notification::enqueue(&mut conn, request(), email(2, None)).await.unwrap();
    let Once::Done(second) = notification::enqueue(&mut conn, request(), email(1, None)).await.unwrap()
    else {
        panic!("it is new")
    };
    // Moves it in the table.
    sqlx::query("update emails set attempts = 0 where id = $1")
        .bind(first)
        .execute(&mut *conn)
        .await
        .unwrap();
    read_as_they_lie(&mut conn).await;
    let listed = emails_of(&mut conn, 1).await;
    assert_eq!(listed.iter().map(|email| email.id).collect::<Vec<_>>(), [first, second]);
    let one = &listed[0];
    assert_eq!((one.user_id, one.order_id), (UserId(1), Some(OrderId(7))));
    assert_eq!(
        [&one.email, &one.title, &one.message, &one.status],
        ["a@example.org", "t", "text", "pending"]
    );
    assert_eq!(listed[1].order_id, None);
    for (after, limit, expected) in
        [(EmailId(0), 1, vec![first]), (first, 100, vec![second]), (second, 1, vec![])]
    {
        let page = notification::page(&mut conn, UserId(1), after, limit).await.unwrap();
        assert_eq!(page.iter().map(|email| email.id).collect::<Vec<_>>(), expected);
    }
    drop(conn);
    fresh.stop().await;
}

#[tokio::test]
async fn an_order_gets_one_email_whatever_the_request_and_the_address() {
    let fresh = Fresh::start().await;
    let pool = fresh.emails(1).await;
    let mut conn = connect(&pool).await;
    let about = email(1, Some(7));
    let stored = notification::enqueue(&mut conn, request(), about.clone()).await.unwrap();
    let Once::Done(id) = stored else { panic!("{stored:?}") };
    let moved = NewEmail { email: "b@example.org".to_owned(), message: "M".to_owned(), ..about.clone() };
    for same in [about.clone(), moved] {
        let repeated = notification::enqueue(&mut conn, request(), same).await.unwrap();
        assert_eq!(repeated, Once::Repeated(id));
    }
    for other in [
        NewEmail { title: "Not enough money".to_owned(), ..about.clone() },
        NewEmail { user_id: UserId(2), ..about.clone() },
    ] {
        assert_eq!(notification::enqueue(&mut conn, request(), other).await.unwrap(), Once::Reused);
    }
    let other_order = notification::enqueue(&mut conn, request(), email(1, Some(8))).await.unwrap();
    assert!(matches!(other_order, Once::Done(_)), "{other_order:?}");
    drop(conn);
    fresh.stop().await;
}

#[tokio::test]
async fn a_request_gets_one_email_and_other_content_is_told() {
    let fresh = Fresh::start().await;
    let pool = fresh.emails(1).await;
    let mut conn = connect(&pool).await;
    let (key, first) = (request(), email(1, None));
    let stored = notification::enqueue(&mut conn, key, first.clone()).await.unwrap();
    let Once::Done(id) = stored else { panic!("{stored:?}") };
    assert_eq!(notification::enqueue(&mut conn, key, first.clone()).await.unwrap(), Once::Repeated(id));
    for other in [
        NewEmail { user_id: UserId(2), ..first.clone() },
        NewEmail { email: "b@example.org".to_owned(), ..first.clone() },
        NewEmail { title: "T".to_owned(), ..first.clone() },
        NewEmail { message: "M".to_owned(), ..first.clone() },
        NewEmail { order_id: Some(OrderId(7)), ..first.clone() },
    ] {
        let told = format!("{other:?}");
        assert_eq!(notification::enqueue(&mut conn, key, other).await.unwrap(), Once::Reused, "{told}");
    }
    // Of two that it could mean it is the one of its own request, whichever was there first.
    notification::enqueue(&mut conn, request(), email(1, Some(7))).await.unwrap();
    let later = request();
    notification::enqueue(&mut conn, later, first.clone()).await.unwrap();
    for key in [key, later] {
        let both = NewEmail { order_id: Some(OrderId(7)), ..first.clone() };
        assert_eq!(notification::enqueue(&mut conn, key, both).await.unwrap(), Once::Reused);
    }
    assert_eq!(emails_of(&mut conn, 1).await.len(), 3);
    drop(conn);
    fresh.stop().await;
}

#[tokio::test]
async fn a_batch_of_emails_is_answered_in_its_order() {
    let fresh = Fresh::start().await;
    let pool = fresh.emails(2).await;
    let mut conn = connect(&pool).await;
    assert_eq!(notification::enqueue_all(&mut conn, &[]).await.unwrap(), []);
    let known = (request(), email(1, Some(1)));
    let stored = notification::enqueue(&mut conn, known.0, known.1.clone()).await.unwrap();
    let Once::Done(id) = stored else { panic!("{stored:?}") };
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let traced = (request(), NewEmail { traceparent: Some(trace.to_owned()), ..email(2, Some(2)) });
    let plain = (request(), email(3, None));
    let batch = [traced.clone(), known, plain, (request(), email(2, Some(2)))];
    let outcomes = notification::enqueue_all(&mut conn, &batch).await.unwrap();
    let [Once::Done(second), Once::Repeated(first), Once::Done(third), Once::Repeated(again)] = &outcomes[..]
    else {
        panic!("{outcomes:?}")
    };
    assert_eq!((*first, again), (id, second));
    let of = async |user| emails_of(&mut *connect(&pool).await, user).await;
    assert_eq!((of(2).await[0].id, of(3).await[0].id), (*second, *third));

    let queue = EmailQueue(pool.clone());
    let claimed = mail::Queue::claim(&queue, 10, std::time::Duration::from_mins(1)).await.unwrap();
    let traces: Vec<_> = claimed.iter().filter_map(|email| email.traceparent.as_deref()).collect();
    assert_eq!(traces, [trace]);
    let ids: HashSet<_> = claimed.iter().map(|email| email.message_id.as_str()).collect();
    assert_eq!((claimed.len(), ids.len()), (3, 3));
    drop(conn);
    fresh.stop().await;
}
