//! The ticket service's routes: events and their seats.

use axum::extract::State;
use domain::{Capacity, EventId};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use store::Pool;
use store::ticket::{self, Event};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{Json, Path};

use crate::ApiError;
use crate::docs::{BadRequest, Conflict, Internal, NotFound, TooLarge, Unavailable};

/// `PUT /tickets/{eventId}`
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
pub struct SetCapacityRequest {
    /// How many seats the event has.
    #[schema(inline)]
    pub capacity: Capacity,
}

/// An event and its seats, each of which is free, reserved or sold.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventSeats {
    /// Which event.
    #[schema(inline)]
    pub event_id: EventId,
    /// All seats.
    pub capacity: i64,
    /// Seats that can be booked.
    pub free: i64,
    /// Seats of bookings that are not decided yet.
    pub reserved: i64,
    /// Seats of paid bookings.
    pub sold: i64,
}

impl From<Event> for EventSeats {
    fn from(Event { id: event_id, capacity, free, reserved, sold }: Event) -> Self {
        Self { event_id, capacity, free, reserved, sold }
    }
}

/// All of them.
pub fn routes() -> OpenApiRouter<Pool> {
    OpenApiRouter::new().routes(routes!(set_capacity, get_event))
}

/// Says how many seats an event has. An event that nobody has heard of is a new one.
#[utoipa::path(put, path = "/tickets/{eventId}", tag = "tickets",
    params(("eventId" = inline(EventId), Path)),
    request_body = SetCapacityRequest,
    responses((status = 200, description = "The event.", body = EventSeats),
        (status = 201, description = "The event, which is new.", body = EventSeats),
        BadRequest, NotFound, Conflict, TooLarge, Internal, Unavailable))]
pub(crate) async fn set_capacity(
    State(pool): State<Pool>,
    Path(event): Path<EventId>,
    Json(SetCapacityRequest { capacity }): Json<SetCapacityRequest>,
) -> Result<(StatusCode, axum::Json<EventSeats>), ApiError> {
    let set = pool.run(move |conn| Box::pin(ticket::set_capacity(conn, event, capacity.seats()))).await?;
    let too_small = ApiError::Conflict("capacity-too-small", "More seats are reserved and sold than that.");
    let (event, is_new) = set.ok_or(too_small)?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, axum::Json(event.into())))
}

/// An event and its seats.
#[utoipa::path(get, path = "/tickets/{eventId}", tag = "tickets",
    params(("eventId" = inline(EventId), Path)),
    responses((status = 200, description = "The event.", body = EventSeats), NotFound, Internal, Unavailable))]
pub(crate) async fn get_event(
    State(pool): State<Pool>,
    Path(event): Path<EventId>,
) -> Result<axum::Json<EventSeats>, ApiError> {
    let found = pool.run(move |conn| Box::pin(ticket::find_event(conn, event))).await?;
    found.map(|event| axum::Json(event.into())).ok_or(ApiError::NotFound("event"))
}
