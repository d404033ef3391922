//! Sagas: where each order stands on its way, beside the orders. What a state means is for whoever orchestrates.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, Utc};
use domain::{Amount, EventId, OrderId, Progress, RequestId, Step, TicketId, UserId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::types::Json;
use sqlx::{FromRow, Row as _};

use crate::StoreError;
use crate::order::Order;

/// The table, for the schema of the order service.
pub fn migrations() -> Migrator {
    let mut migrator = sqlx::migrate!("migrations/saga");
    // Beside the migrations that every style shares.
    migrator.dangerous_set_table_name("_saga_migrations");
    migrator
}

/// A saga in state `S`, with what it has to know of its order.
#[derive(Clone, Debug)]
pub struct Saga<S> {
    /// Whose it is.
    pub order_id: OrderId,
    /// The client's request that made the order.
    pub request_id: RequestId,
    /// Who ordered.
    pub user_id: UserId,
    /// What it costs.
    pub price: Amount,
    /// Of a booking: for which event.
    pub event_id: Option<EventId>,
    /// Its ticket, once there is one.
    pub ticket_id: Option<TicketId>,
    /// Where it stands.
    pub state: S,
    /// What was asked for, oldest first.
    pub steps: Vec<StepTaken>,
    /// Where the user can be written to, once that is known.
    pub email: Option<String>,
}

/// A step, and how far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepTaken {
    /// Which.
    pub step: Step,
    /// How far.
    pub state: Progress,
    /// Since when.
    pub at: DateTime<Utc>,
}

impl<S: DeserializeOwned> FromRow<'_, PgRow> for Saga<S> {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let (Json(state), Json(steps)) = (row.try_get("state")?, row.try_get("steps")?);
        Ok(Self {
            order_id: row.try_get("order_id")?,
            request_id: row.try_get("request_id")?,
            user_id: row.try_get("user_id")?,
            price: row.try_get("price")?,
            event_id: row.try_get("event_id")?,
            ticket_id: row.try_get("ticket_id")?,
            email: row.try_get("email")?,
            state,
            steps,
        })
    }
}

impl<S> Saga<S> {
    /// The saga of an order that has just been stored.
    pub fn new(order: &Order, event_id: Option<EventId>, state: S) -> Self {
        let Order { id: order_id, request_id, user_id, price, .. } = *order;
        let (ticket_id, steps, email) = (None, Vec::new(), None);
        Self { order_id, request_id, user_id, price, event_id, ticket_id, state, steps, email }
    }

    /// Notes how far a step has come. One that was never asked for is not there to be undone.
    pub fn note(&mut self, step: Step, state: Progress) {
        // As exact as the database's own times.
        let now = StepTaken { step, state, at: Utc::now().trunc_subsecs(6) };
        match self.steps.iter_mut().find(|taken| taken.step == step) {
            Some(taken) => *taken = now,
            None if matches!(state, Progress::Compensating | Progress::Compensated) => {}
            None => self.steps.push(now),
        }
    }
}

/// Stores the saga of a new order. Where it has a ticket, it is due after `deadline`.
pub async fn insert<S: Serialize + Sync>(
    conn: &mut PgConnection,
    saga: &Saga<S>,
    deadline: Duration,
) -> Result<(), StoreError> {
    // By the clock that also tells when it has passed.
    let inserted = sqlx::query(
        "insert into sagas (order_id, event_id, state, steps, due_at)
         values ($1, $2, $3, $4, case when $2 is not null then now() + $5 end)",
    );
    let inserted = inserted.bind(saga.order_id).bind(saga.event_id);
    let inserted = inserted.bind(Json(serde_json::to_value(&saga.state)?)).bind(Json(&saga.steps));
    inserted.bind(deadline).execute(conn).await?;
    Ok(())
}

/// Looks up the saga of an order.
pub async fn find<S: DeserializeOwned + Send + Unpin>(
    conn: &mut PgConnection,
    order: OrderId,
) -> Result<Option<Saga<S>>, StoreError> {
    Ok(sqlx::query_as(
        "select order_id, request_id, user_id, price, event_id, ticket_id, state, steps, email
         from sagas join orders on orders.id = order_id where order_id = $1",
    )
    .bind(order)
    .fetch_optional(conn)
    .await?)
}

/// The sagas of `orders`, which nobody else changes until the transaction ends. In one order, so that two who lock the same wait
/// for each other and do not deadlock.
pub async fn lock_all<S: DeserializeOwned + Send + Unpin>(
    conn: &mut PgConnection,
    orders: &[OrderId],
) -> Result<HashMap<OrderId, Saga<S>>, StoreError> {
    let sagas: Vec<Saga<S>> = sqlx::query_as(
        "select order_id, request_id, user_id, price, event_id, ticket_id, state, steps, email
         from sagas join orders on orders.id = order_id
         where order_id = any($1) order by order_id for update of sagas",
    )
    .bind(orders.iter().map(|order| order.0).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    Ok(sagas.into_iter().map(|saga| (saga.order_id, saga)).collect())
}

/// The orders whose sagas are due, at most `limit`, and not those that somebody else is at; locked. With the requests that made them.
pub async fn lock_due(conn: &mut PgConnection, limit: i64) -> Result<Vec<(OrderId, RequestId)>, StoreError> {
    let due = "select order_id, request_id from sagas join orders on orders.id = order_id
               where due_at <= now() order by due_at limit $1 for update of sagas skip locked";
    Ok(sqlx::query_as(due).bind(limit).fetch_all(conn).await?)
}

/// Writes down where sagas stand now, each with whether its deadline still counts. Each must be there once.
pub async fn update_all<S: Serialize>(
    conn: &mut PgConnection,
    sagas: &[(&Saga<S>, bool)],
) -> Result<(), StoreError> {
    fn column<S, T>(sagas: &[(&Saga<S>, bool)], of: impl Fn(&Saga<S>) -> T) -> Vec<T> {
        sagas.iter().map(|(saga, _)| of(saga)).collect()
    }
    let states = column(sagas, |saga| serde_json::to_value(&saga.state));
    sqlx::query(
        "update sagas set ticket_id = now.ticket_id, state = now.state, steps = now.steps, email = now.email,
                          due_at = case when now.is_awaited then due_at end
         from unnest($1::bigint[], $2::bigint[], $3::jsonb[], $4::jsonb[], $5::text[], $6::boolean[])
             as now (order_id, ticket_id, state, steps, email, is_awaited)
         where sagas.order_id = now.order_id",
    )
    .bind(column(sagas, |saga| saga.order_id.0))
    .bind(column(sagas, |saga| saga.ticket_id.map(|ticket| ticket.0)))
    .bind(states.into_iter().collect::<Result<Vec<_>, _>>()?)
    .bind(column(sagas, |saga| Json(saga.steps.clone())))
    .bind(column(sagas, |saga| saga.email.clone()))
    .bind(sagas.iter().map(|(_, is_awaited)| *is_awaited).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}
