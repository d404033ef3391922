//! A million emails wait: what a claim reads must depend on how many it takes, and not on how many there are.

use std::time::Duration;

use mail::{Queue as _, Verdict};
use store::Pool;
use store::notification::EmailQueue;

use crate::world::{Fresh, connect};

/// How many are claimed.
const SOME: usize = 100;
/// Long enough for a test.
const LEASE: Duration = Duration::from_mins(1);

/// A million emails in the state that `$1` and `$2` say, stored in one transaction, and 10,000 that are sent.
const FILL: &str = "
    insert into emails (request_id, user_id, email, title, message, message_id, status, due_at)
    select lpad(to_hex(n), 32, '0')::uuid, n, 'a@example.org', 't', 'm', n::text,
           case when n <= 1000000 then $1 else 'sent' end, now() + $2 * interval '1 second'
    from generate_series(1, 1010000) n";

/// The emails' queue behind a pool of one connection, and a world that it is in.
async fn filled(status: &str, due_in_s: f64) -> (Fresh, EmailQueue) {
    let fresh = Fresh::start().await;
    let pool = fresh.emails(1).await;
    // The plans for an empty table are made and kept, as in a service that has run for long.
    let queue = EmailQueue(pool.clone());
    for _ in 0..10 {
        assert!(queue.claim(SOME, LEASE).await.unwrap().is_empty());
    }
    let mut conn = connect(&pool).await;
    sqlx::query("set statement_timeout = '2min'").execute(&mut *conn).await.unwrap();
    sqlx::query(FILL).bind(status).bind(due_in_s).execute(&mut *conn).await.unwrap();
    drop(conn);
    (fresh, queue)
}

/// How many rows of the emails were read so far.
async fn rows_read(pool: &Pool) -> i64 {
    let mut conn = connect(pool).await;
    // A session tells when it has time, unless it is told to.
    sqlx::query("select pg_stat_force_next_flush()").execute(&mut *conn).await.unwrap();
    let question = "select seq_tup_read + idx_tup_fetch from pg_stat_user_tables where relname = 'emails'";
    sqlx::query_scalar(question).fetch_one(&mut *conn).await.unwrap()
}

/// Claims and records; asserts how many were claimed, and that no others were read.
async fn assert_reads_what_it_claims(queue: &EmailQueue, expected: usize) {
    let EmailQueue(pool) = queue;
    for _ in 0..3 {
        let before = rows_read(pool).await;
        let claimed = queue.claim(SOME, LEASE).await.unwrap();
        assert_eq!(claimed.len(), expected);
        for email in &claimed {
            assert!(queue.record(email, &Verdict::Sent).await.unwrap());
        }
        let read = rows_read(pool).await - before;
        // Each is read to be found, to be claimed, and to be recorded.
        let read_max = i64::try_from(4 * expected).unwrap();
        assert!(read <= read_max, "{read} rows were read to send {expected}");
    }
}

#[tokio::test]
async fn of_a_million_emails_that_came_due_at_the_same_time_only_those_are_read_that_are_claimed() {
    let (fresh, queue) = filled("pending", -3600.0).await;
    assert_reads_what_it_claims(&queue, SOME).await;
    fresh.stop().await;
}

#[tokio::test]
async fn of_a_million_emails_whose_leases_have_ended_only_those_are_read_that_are_claimed() {
    let (fresh, queue) = filled("sending", -1.0).await;
    assert_reads_what_it_claims(&queue, SOME).await;
    fresh.stop().await;
}

#[tokio::test]
async fn of_a_million_emails_that_are_not_due_yet_none_is_read() {
    let (fresh, queue) = filled("pending", 3600.0).await;
    assert_reads_what_it_claims(&queue, 0).await;
    // One that is stored later, and due before them.
    let EmailQueue(pool) = &queue;
    let due = "update emails set due_at = now() where id = (select max(id) - 10000 from emails)";
    assert_eq!(sqlx::query(due).execute(&mut *connect(pool).await).await.unwrap().rows_affected(), 1);
    let before = rows_read(pool).await;
    assert_eq!(queue.claim(SOME, LEASE).await.unwrap().len(), 1);
    assert!(rows_read(pool).await - before <= 4);
    fresh.stop().await;
}
