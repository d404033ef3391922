//! A million orders are stored: what a page reads must depend on how many orders it has, and not on how many there are.

use domain::{OrderId, UserId};
use sqlx::postgres::PgConnection;
use store::order;

use crate::world::{Fresh, connect};

/// How many orders a page has.
const SOME: i64 = 50;

/// A million orders, ten of each user.
const FILL: &str = "
    insert into orders (request_id, user_id, price)
    select lpad(to_hex(n), 32, '0')::uuid, n % 100000, 90 from generate_series(1, 1000000) n";

/// How many rows of the orders were read so far.
async fn rows_read(conn: &mut PgConnection) -> i64 {
    // A session tells when it has time, unless it is told to.
    sqlx::query("select pg_stat_force_next_flush()").execute(&mut *conn).await.unwrap();
    let question = "select seq_tup_read + idx_tup_fetch from pg_stat_user_tables where relname = 'orders'";
    sqlx::query_scalar(question).fetch_one(&mut *conn).await.unwrap()
}

#[tokio::test]
async fn of_a_million_orders_only_those_are_read_that_are_on_the_page() {
    let fresh = Fresh::start().await;
    let pool = fresh.orders(1).await;
    let mut conn = connect(&pool).await;
    sqlx::query("set statement_timeout = '2min'").execute(&mut *conn).await.unwrap();
    let asked = [(Some(UserId(7)), 10), (None, 50)];
    // The plans for an empty table are made and kept, as in a service that was there before its first order.
    for (user, _) in asked.repeat(10) {
        assert!(order::page(&mut conn, user, OrderId(0), SOME).await.unwrap().is_empty());
    }
    sqlx::query(FILL).execute(&mut *conn).await.unwrap();
    for (user, expected) in asked.repeat(10) {
        let before = rows_read(&mut conn).await;
        let page = order::page(&mut conn, user, OrderId(0), SOME).await.unwrap();
        assert_eq!(page.len(), expected, "{user:?}");
        let read = rows_read(&mut conn).await - before;
        assert!(read <= SOME + 1, "{read} orders were read to show {expected}");
    }
    drop(conn);
    fresh.stop().await;
}
