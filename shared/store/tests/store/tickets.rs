//! Seats: reserved, sold, released; never twice, and in any order of arrival.

use database::Connection;
use domain::{EventId, OrderId, Refusal};
use store::ticket::{self, Event, TicketError};
use tokio::task::JoinSet;

use crate::world::{Fresh, connect};

const EVENT: EventId = EventId(5);

/// The seats of the event: free, reserved, sold.
async fn seats(conn: &mut Connection) -> (i64, i64, i64) {
    let event = ticket::find_event(conn, EVENT).await.unwrap().unwrap();
    assert_eq!(event.free + event.reserved + event.sold, event.capacity);
    (event.free, event.reserved, event.sold)
}

async fn set(conn: &mut Connection, capacity: i64) -> Option<(Event, bool)> {
    ticket::set_capacity(conn, EVENT, capacity).await.unwrap()
}

async fn reserve(conn: &mut Connection, order: i64) -> Result<domain::TicketId, Refusal> {
    ticket::reserve(conn, OrderId(order), EVENT).await.unwrap()
}

#[tokio::test]
async fn a_seat_is_reserved_once_per_order_and_an_event_is_sold_out_when_none_is_free() {
    let fresh = Fresh::start().await;
    let pool = fresh.tickets(2).await;
    let mut conn = connect(&pool).await;
    assert_eq!(reserve(&mut conn, 1).await, Err(Refusal::EventNotFound));
    set(&mut conn, 1).await.unwrap();
    // A refusal is remembered: the order has ended because of it.
    assert_eq!(reserve(&mut conn, 1).await, Err(Refusal::EventNotFound));
    let ticket = reserve(&mut conn, 2).await;
    assert!(ticket.is_ok());
    assert_eq!(reserve(&mut conn, 2).await, ticket);
    assert_eq!(reserve(&mut conn, 3).await, Err(Refusal::SoldOut));
    set(&mut conn, 2).await.unwrap();
    assert_eq!(reserve(&mut conn, 3).await, Err(Refusal::SoldOut));
    assert_eq!(seats(&mut conn).await, (1, 1, 0));
    drop(conn);
    fresh.stop().await;
}

#[tokio::test]
async fn a_reserved_seat_is_sold_or_released_and_what_is_sold_stays_sold() {
    let fresh = Fresh::start().await;
    let pool = fresh.tickets(2).await;
    let mut conn = connect(&pool).await;
    set(&mut conn, 2).await.unwrap();
    for order in [1, 2] {
        reserve(&mut conn, order).await.unwrap();
    }
    for _ in 0..2 {
        ticket::sell(&mut conn, OrderId(1)).await.unwrap();
        ticket::release(&mut conn, OrderId(2)).await.unwrap();
        assert_eq!(seats(&mut conn).await, (1, 0, 1));
    }
    assert!(matches!(ticket::release(&mut conn, OrderId(1)).await, Err(TicketError::Sold(OrderId(1)))));
    for order in [2, 3] {
        let sold = ticket::sell(&mut conn, OrderId(order)).await;
        assert!(matches!(sold, Err(TicketError::NotReserved(_))), "{sold:?}");
    }
    assert_eq!(reserve(&mut conn, 2).await, Err(Refusal::Cancelled));
    assert_eq!(seats(&mut conn).await, (1, 0, 1));
    drop(conn);
    fresh.stop().await;
}

#[tokio::test]
async fn a_release_that_comes_before_its_reservation_lets_it_be_refused() {
    let fresh = Fresh::start().await;
    let pool = fresh.tickets(2).await;
    let mut conn = connect(&pool).await;
    set(&mut conn, 1).await.unwrap();
    for _ in 0..2 {
        ticket::release(&mut conn, OrderId(1)).await.unwrap();
        assert_eq!(reserve(&mut conn, 1).await, Err(Refusal::Cancelled));
    }
    assert_eq!(seats(&mut conn).await, (1, 0, 0));
    drop(conn);
    fresh.stop().await;
}

#[tokio::test]
async fn the_capacity_does_not_fall_below_what_is_reserved_and_sold() {
    let fresh = Fresh::start().await;
    let pool = fresh.tickets(2).await;
    let mut conn = connect(&pool).await;
    let event = |capacity, free, reserved, sold| Event { id: EVENT, capacity, free, reserved, sold };
    assert_eq!(set(&mut conn, 3).await, Some((event(3, 3, 0, 0), true)));
    reserve(&mut conn, 1).await.unwrap();
    reserve(&mut conn, 2).await.unwrap();
    ticket::sell(&mut conn, OrderId(1)).await.unwrap();
    assert_eq!(set(&mut conn, 1).await, None);
    assert_eq!(set(&mut conn, 2).await, Some((event(2, 0, 1, 1), false)));
    assert_eq!(set(&mut conn, 5).await, Some((event(5, 3, 1, 1), false)));
    drop(conn);
    fresh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_want_the_last_seats_at_once_no_more_get_one_than_there_are() {
    let fresh = Fresh::start().await;
    let pool = fresh.tickets(8).await;
    set(&mut connect(&pool).await, 5).await.unwrap();
    let mut buyers = JoinSet::new();
    for order in 0..40 {
        let pool = pool.clone();
        buyers.spawn(async move { reserve(&mut connect(&pool).await, order).await });
    }
    let outcomes = buyers.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 5);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(_) | Err(Refusal::SoldOut))));
    assert_eq!(seats(&mut connect(&pool).await).await, (0, 5, 0));
    fresh.stop().await;
}
