//! The ticket service's tables: events with their seats, and a ticket for each order that wants one.
//!
//! Each change is one statement, conditional on what it finds, so that a seat is never sold twice. Each is idempotent by the
//! order, and a release may come before the reservation that it releases.

use domain::{EventId, OrderId, Refusal, TicketId};
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnection;

use crate::{StoreError, mistake};

/// The service's tables.
pub fn migrations() -> Migrator {
    sqlx::migrate!("migrations/ticket")
}

/// An event with its seats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Event {
    /// Which.
    pub id: EventId,
    /// All seats.
    pub capacity: i64,
    /// Seats that can be reserved.
    pub free: i64,
    /// Seats that wait for their money.
    pub reserved: i64,
    /// Seats that are paid.
    pub sold: i64,
}

/// What was asked of a ticket contradicts what became of it.
#[derive(Debug, thiserror::Error)]
pub enum TicketError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A ticket that nobody has reserved cannot be sold.
    #[error("order {0} has no ticket to be sold")]
    NotReserved(OrderId),
    /// A ticket that is sold stays sold.
    #[error("the ticket of order {0} is sold")]
    Sold(OrderId),
}

impl From<sqlx::Error> for TicketError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

/// Says how many seats an event has, and whether that made it. `None`: there are more reserved and sold already.
pub async fn set_capacity(
    conn: &mut PgConnection,
    event: EventId,
    capacity: i64,
) -> Result<Option<(Event, bool)>, StoreError> {
    let before = find_event(conn, event).await?;
    let now = sqlx::query_as(
        "insert into events (id, capacity, free) values ($1, $2, $2)
         on conflict (id) do update
             set capacity = excluded.capacity, free = excluded.capacity - events.reserved - events.sold
             where excluded.capacity >= events.reserved + events.sold
         returning id, capacity, free, reserved, sold",
    );
    let now: Option<Event> = now.bind(event).bind(capacity).fetch_optional(conn).await?;
    Ok(now.map(|now| (now, before.is_none())))
}

/// Looks up an event.
pub async fn find_event(conn: &mut PgConnection, event: EventId) -> Result<Option<Event>, StoreError> {
    Ok(sqlx::query_as("select id, capacity, free, reserved, sold from events where id = $1")
        .bind(event)
        .fetch_optional(conn)
        .await?)
}

/// A ticket's row: its id, where it stands, and why it was refused.
type Row = (TicketId, String, Option<Refusal>);

/// Reserves a seat for `order`, once; says the same again. Refused after a release, whichever came first.
pub async fn reserve(
    conn: &mut PgConnection,
    order: OrderId,
    event: EventId,
) -> Result<Result<TicketId, Refusal>, StoreError> {
    let reserved: Option<Row> = sqlx::query_as(
        "with seat as (
             update events set free = free - 1, reserved = reserved + 1
             where id = $2 and free > 0 and not exists (select from tickets where order_id = $1)
             returning id
         )
         insert into tickets (order_id, event_id, state, refusal)
         select $1, $2,
             case when exists (select from seat) then 'reserved' else 'refused' end,
             case when exists (select from seat) then null
                  when exists (select from events where id = $2) then 'sold-out' else 'event-not-found' end
         where not exists (select from tickets where order_id = $1)
         returning id, state, refusal",
    )
    .bind(order)
    .bind(event)
    .fetch_optional(&mut *conn)
    .await?;
    let (id, state, refusal) = match reserved {
        Some(row) => row,
        None => find(conn, order).await?.ok_or(sqlx::Error::RowNotFound)?,
    };
    Ok(match refusal {
        Some(refusal) => Err(refusal),
        None if state == "released" => Err(Refusal::Cancelled),
        None => Ok(id),
    })
}

/// The seat of `order` is paid.
///
/// # Errors
/// When none is reserved for it.
pub async fn sell(conn: &mut PgConnection, order: OrderId) -> Result<(), TicketError> {
    let sold = sqlx::query(
        "with ticket as (
             update tickets set state = 'sold', updated_at = now()
             where order_id = $1 and state = 'reserved' returning event_id
         )
         update events set reserved = reserved - 1, sold = sold + 1 from ticket where events.id = ticket.event_id",
    );
    if sold.bind(order).execute(&mut *conn).await?.rows_affected() == 1 {
        return Ok(());
    }
    match find(conn, order).await? {
        Some((_, state, _)) if state == "sold" => Ok(()),
        _ => Err(TicketError::NotReserved(order)),
    }
}

/// The seat of `order` is free again. If none was reserved yet, none will be: a tombstone stays behind.
///
/// # Errors
/// When the ticket is sold.
pub async fn release(conn: &mut PgConnection, order: OrderId) -> Result<(), TicketError> {
    if mistake::is_made("mistake::no_compensation") {
        return Ok(());
    }
    if mistake::is_made("mistake::no_tombstone") {
        return release_only_what_is_there(conn, order).await;
    }
    let released = sqlx::query(
        "with ticket as (
             update tickets set state = 'released', updated_at = now()
             where order_id = $1 and state = 'reserved' returning event_id
         ), seat as (
             update events set reserved = reserved - 1, free = free + 1 from ticket where events.id = ticket.event_id
         )
         insert into tickets (order_id, state)
         select $1, 'released' where not exists (select from tickets where order_id = $1)",
    );
    released.bind(order).execute(&mut *conn).await?;
    match find(conn, order).await? {
        Some((_, state, _)) if state == "sold" => Err(TicketError::Sold(order)),
        _ => Ok(()),
    }
}

/// A mistake on purpose: a seat that is reserved after its release stays so.
async fn release_only_what_is_there(conn: &mut PgConnection, order: OrderId) -> Result<(), TicketError> {
    let released = sqlx::query(
        "with ticket as (
             update tickets set state = 'released', updated_at = now()
             where order_id = $1 and state = 'reserved' returning event_id
         )
         update events set reserved = reserved - 1, free = free + 1 from ticket where events.id = ticket.event_id",
    );
    released.bind(order).execute(conn).await?;
    Ok(())
}

async fn find(conn: &mut PgConnection, order: OrderId) -> Result<Option<Row>, StoreError> {
    let row = sqlx::query_as("select id, state, refusal from tickets where order_id = $1");
    Ok(row.bind(order).fetch_optional(conn).await?)
}
