//! Sagas: where orders stand, and which of them are late.

use std::time::Duration;

use database::Connection;
use domain::{EventId, OrderId, Progress, Step, TicketId, UserId};
use sqlx::Connection as _;
use store::order::{self, NewOrder};
use store::{Once, Pool, saga};

use crate::world::{Fresh, amount, connect, request};

type Saga = saga::Saga<String>;

const EVENT: EventId = EventId(5);

async fn pool(fresh: &Fresh) -> Pool {
    let pool = fresh.orders(3).await;
    store::migrate(&pool, &saga::migrations()).await.unwrap();
    pool
}

/// A saga of a new order, which is due after `deadline` if it has a ticket.
async fn begin(conn: &mut Connection, event: Option<EventId>, deadline: Duration) -> Saga {
    let new = NewOrder { request: request(), user: UserId(1), price: amount(9), user_version: None };
    let Once::Done(order) = order::create(conn, new).await.unwrap() else { panic!("a new order") };
    let saga = Saga::new(&order, event, "begun".to_owned());
    saga::insert(conn, &saga, deadline).await.unwrap();
    saga
}

async fn find(conn: &mut Connection, order: OrderId) -> Saga {
    saga::find(conn, order).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_saga_is_found_as_it_was_written_down() {
    let fresh = Fresh::start().await;
    let pool = pool(&fresh).await;
    let mut conn = connect(&pool).await;
    let (mut first, other) = (
        begin(&mut conn, Some(EVENT), Duration::from_hours(1)).await,
        begin(&mut conn, None, Duration::ZERO).await,
    );
    first.state = "paid".to_owned();
    first.ticket_id = Some(TicketId(3));
    first.email = Some("ann@example.org".to_owned());
    // What was never begun is not undone; what was is shown once, with how far it has come.
    first.note(Step::WithdrawMoney, Progress::Compensating);
    first.note(Step::ReserveTicket, Progress::Pending);
    first.note(Step::ReserveTicket, Progress::Done);
    saga::update_all(&mut conn, &[(&first, false)]).await.unwrap();
    let found = find(&mut conn, first.order_id).await;
    let steps: Vec<_> = found.steps.iter().map(|taken| (taken.step, taken.state)).collect();
    assert_eq!(steps, [(Step::ReserveTicket, Progress::Done)]);
    assert_eq!((found.state, found.ticket_id, found.email), (first.state, first.ticket_id, first.email));
    assert_eq!((found.event_id, found.request_id), (Some(EVENT), first.request_id));
    let untouched = find(&mut conn, other.order_id).await;
    assert_eq!((untouched.state.as_str(), untouched.event_id), ("begun", None));
    drop(conn);
    fresh.stop().await;
}

#[tokio::test]
async fn only_a_saga_with_a_ticket_is_ever_late_and_only_while_its_deadline_counts() {
    let fresh = Fresh::start().await;
    let pool = pool(&fresh).await;
    let mut conn = connect(&pool).await;
    let late = begin(&mut conn, Some(EVENT), Duration::ZERO).await;
    let decided = begin(&mut conn, Some(EVENT), Duration::ZERO).await;
    begin(&mut conn, Some(EVENT), Duration::from_hours(1)).await;
    begin(&mut conn, None, Duration::ZERO).await;
    saga::update_all(&mut conn, &[(&late, true), (&decided, false)]).await.unwrap();

    let mut first = conn.begin().await.unwrap();
    let expected = [(late.order_id, late.request_id)];
    assert_eq!(saga::lock_due(&mut first, 10).await.unwrap(), expected);
    // Whoever looks at the same time does not wait for it.
    assert_eq!(saga::lock_due(&mut *connect(&pool).await, 10).await.unwrap(), []);
    first.rollback().await.unwrap();
    assert_eq!(saga::lock_due(&mut conn, 0).await.unwrap(), []);
    drop(conn);
    fresh.stop().await;
}
