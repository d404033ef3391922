//! The table of emails as a queue: who may send what, and what a verdict leaves behind.

use std::time::Duration;

use domain::{OrderId, UserId};
use mail::{Queue as _, QueuedEmail, Verdict};
use sqlx::Connection as _;
use store::notification::{self, EmailQueue, NewEmail};
use store::{Once, Pool};

use crate::emails::{email, emails_of};
use crate::world::{Fresh, connect, request};

/// Long enough for a test.
const LEASE: Duration = Duration::from_mins(1);

async fn queue_of(pool: &Pool, emails: i64) -> EmailQueue {
    let mut conn = connect(pool).await;
    for order in 0..emails {
        notification::enqueue(&mut conn, request(), email(1, Some(order))).await.unwrap();
    }
    EmailQueue(pool.clone())
}

/// Of each email, in the order of their ids: status, attempts, unknown deliveries, last error, whether it has a time of
/// sending, and in how many seconds it is due.
async fn rows(pool: &Pool) -> Vec<(String, i32, i32, Option<String>, bool, f64)> {
    sqlx::query_as(
        "select status, attempts, unknown, last_error, sent_at is not null,
                extract(epoch from due_at - now())::float8
         from emails order by id",
    )
    .fetch_all(&mut *connect(pool).await)
    .await
    .unwrap()
}

fn ids(claimed: &[QueuedEmail]) -> Vec<i64> {
    claimed.iter().map(|email| email.id).collect()
}

#[tokio::test]
async fn an_order_gets_one_email_and_a_claim_that_ran_out_cannot_record() {
    let fresh = Fresh::start().await;
    let pool = fresh.emails(2).await;
    let email = NewEmail {
        user_id: UserId(1),
        email: "a@example.org".to_owned(),
        title: "Order is paid".to_owned(),
        message: "m".to_owned(),
        order_id: Some(OrderId(7)),
        traceparent: None,
    };
    let mut conn = connect(&pool).await;
    let stored = notification::enqueue(&mut conn, request(), email.clone()).await.unwrap();
    let Once::Done(id) = stored else { panic!("{stored:?}") };
    assert_eq!(notification::enqueue(&mut conn, request(), email.clone()).await.unwrap(), Once::Repeated(id));
    let other = NewEmail { title: "Not enough money".to_owned(), ..email };
    assert_eq!(notification::enqueue(&mut conn, request(), other).await.unwrap(), Once::Reused);

    let queue = EmailQueue(pool.clone());
    let first = queue.claim(10, Duration::ZERO).await.unwrap();
    assert_eq!((first.len(), first[0].attempts, first[0].taken_over), (1, 1, false));
    // The lease was over at once: somebody else takes the email over, and the first claimer has nothing to say any more.
    let second = queue.claim(10, Duration::from_mins(1)).await.unwrap();
    assert_eq!((second[0].attempts, second[0].taken_over), (2, true));
    assert_eq!(first[0].message_id, second[0].message_id);
    assert!(!queue.record(&first[0], &Verdict::Failed { reason: "late".to_owned() }).await.unwrap());
    assert!(queue.record(&second[0], &Verdict::Sent).await.unwrap());
    assert!(queue.claim(10, Duration::ZERO).await.unwrap().is_empty());
    assert_eq!(emails_of(&mut conn, 1).await[0].status, "sent");
    drop(conn);
    fresh.stop().await;
}

#[tokio::test]
async fn what_is_claimed_is_the_longest_due_and_nobody_elses_while_the_lease_lasts() {
    let fresh = Fresh::start().await;
    let pool = fresh.emails(2).await;
    let queue = queue_of(&pool, 4).await;
    // The second has been due for longest; the fourth is not due yet.
    sqlx::raw_sql(
        "update emails set due_at = now() - interval '1 hour' where order_id = 1;
         update emails set due_at = now() + interval '1 hour' where order_id = 3",
    )
    .execute(&mut *connect(&pool).await)
    .await
    .unwrap();
    let first = queue.claim(1, LEASE).await.unwrap();
    let rest = queue.claim(10, LEASE).await.unwrap();
    assert_eq!((ids(&first), ids(&rest)), (vec![2], vec![1, 3]));
    assert!(queue.claim(10, LEASE).await.unwrap().is_empty());

    let claimed = &first[0];
    assert_eq!([&claimed.to, &claimed.subject, &claimed.body], ["a@example.org", "Order is paid", "m"]);
    assert_eq!((claimed.attempts, claimed.taken_over), (1, false));
    let row = &rows(&pool).await[1];
    assert_eq!((row.0.as_str(), row.1, row.2), ("sending", 1, 0));
    assert!((50.0..=60.0).contains(&row.5), "the lease ends in {} s", row.5);
    fresh.stop().await;
}

#[tokio::test]
async fn two_workers_claim_different_emails_instead_of_waiting_for_each_other() {
    let fresh = Fresh::start().await;
    let pool = fresh.emails(3).await;
    let queue = queue_of(&pool, 2).await;
    let mut conn = connect(&pool).await;
    let mut tx = conn.begin().await.unwrap();
    // As a claim does that is not committed yet.
    sqlx::query("select from emails where id = 1 for update").execute(&mut *tx).await.unwrap();
    assert_eq!(ids(&queue.claim(10, LEASE).await.unwrap()), [2]);
    tx.rollback().await.unwrap();
    drop(conn);
    fresh.stop().await;
}

#[tokio::test]
async fn each_verdict_leaves_what_the_next_attempt_needs() {
    let fresh = Fresh::start().await;
    let pool = fresh.emails(2).await;
    let queue = queue_of(&pool, 5).await;
    let claimed = queue.claim(10, LEASE).await.unwrap();
    let retry = |maybe_delivered| Verdict::Retry {
        reason: "451".to_owned(),
        after: Duration::from_mins(10),
        maybe_delivered,
    };
    let verdicts = [
        Verdict::Sent,
        Verdict::Failed { reason: "550".to_owned() },
        retry(false),
        retry(true),
        Verdict::Released,
    ];
    for (email, verdict) in claimed.iter().zip(&verdicts) {
        assert!(queue.record(email, verdict).await.unwrap(), "{verdict:?}");
        // It was recorded, so it is nobody's any more.
        assert!(!queue.record(email, verdict).await.unwrap(), "{verdict:?}");
    }
    let rows = rows(&pool).await;
    let left: Vec<_> = rows
        .iter()
        .map(|(status, attempts, unknown, error, sent, _)| {
            (status.as_str(), *attempts, *unknown, error.as_deref(), *sent)
        })
        .collect();
    let expected = [
        ("sent", 1, 0, None, true),
        ("failed", 1, 0, Some("550"), false),
        ("pending", 1, 0, Some("451"), false),
        ("pending", 1, 1, Some("451"), false),
        ("pending", 0, 0, None, false),
    ];
    assert_eq!(left, expected);
    assert!(rows[2..4].iter().all(|row| (590.0..=600.0).contains(&row.5)), "{rows:?}");
    // What was released is due at once, and was never tried.
    let again = queue.claim(10, LEASE).await.unwrap();
    assert_eq!((ids(&again), again[0].attempts, again[0].taken_over), (vec![5], 1, false));
    fresh.stop().await;
}

/// Its claimer may have died after the server took it.
#[tokio::test]
async fn an_email_that_is_taken_over_counts_as_perhaps_delivered() {
    let fresh = Fresh::start().await;
    let pool = fresh.emails(2).await;
    let queue = queue_of(&pool, 1).await;
    queue.claim(1, Duration::ZERO).await.unwrap();
    queue.claim(1, LEASE).await.unwrap();
    let row = &rows(&pool).await[0];
    assert_eq!((row.0.as_str(), row.1, row.2), ("sending", 2, 1));
    fresh.stop().await;
}

/// Else the one email at which the server hangs up would be tried first again and again, and no other.
#[tokio::test]
async fn a_released_email_goes_behind_those_that_are_due() {
    let fresh = Fresh::start().await;
    let pool = fresh.emails(2).await;
    let queue = queue_of(&pool, 2).await;
    let first = queue.claim(1, LEASE).await.unwrap();
    assert!(queue.record(&first[0], &Verdict::Released).await.unwrap());
    let next = queue.claim(1, LEASE).await.unwrap();
    assert_eq!((ids(&first), ids(&next)), (vec![1], vec![2]));
    fresh.stop().await;
}
