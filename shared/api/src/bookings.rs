//! Bookings: orders with a ticket. Their contract, once; what the handlers do is the style's.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::MethodRouter;
use chrono::{DateTime, Utc};
use domain::{Amount, EventId, OrderId, Progress, Step, TicketId, UserId};
use http::{StatusCode, header};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use store::saga::{self, Saga};
use store::{Pool, StoreError, order};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::Path;

use crate::docs::{
    Accepted, BadRequest, Conflict, Internal, KeyReused, NotFound, PreconditionFailed, TooLarge, Unavailable,
    handled_by,
};
use crate::types::Order;
use crate::{ApiError, IdempotencyKeyHeader, PreferHeader};

/// `POST /bookings`
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateBookingRequest {
    /// Who books.
    #[schema(inline)]
    pub user_id: UserId,
    /// Minor units.
    #[schema(inline)]
    pub price: Amount,
    /// At which event.
    #[schema(inline)]
    pub event_id: EventId,
}

/// A booking was created and paid.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BookingCreated {
    /// The new order.
    #[schema(inline)]
    pub order_id: OrderId,
    /// Its ticket.
    #[schema(inline)]
    pub ticket_id: TicketId,
}

/// An order with a ticket.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Booking {
    /// The order.
    #[serde(flatten)]
    #[schema(inline)]
    pub order: Order,
    /// At which event.
    #[schema(inline)]
    pub event_id: EventId,
    /// The ticket; null until a seat is reserved.
    #[schema(inline, required)]
    pub ticket_id: Option<TicketId>,
    /// What was asked for, oldest first, and how far it has come.
    pub steps: Vec<StepTaken>,
}

/// A step of a booking.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct StepTaken {
    /// Which.
    #[schema(inline)]
    pub step: Step,
    /// How far it has come.
    #[schema(inline)]
    pub state: Progress,
    /// Since when.
    pub at: DateTime<Utc>,
}

impl From<saga::StepTaken> for StepTaken {
    fn from(saga::StepTaken { step, state, at }: saga::StepTaken) -> Self {
        Self { step, state, at }
    }
}

/// 201 for a paid booking.
pub fn created(order_id: OrderId, ticket_id: TicketId) -> Response {
    let location = [(header::LOCATION, format!("/bookings/{order_id}"))];
    (StatusCode::CREATED, location, axum::Json(BookingCreated { order_id, ticket_id })).into_response()
}

/// What has an effect, with the handlers of it.
pub fn routes<S: Clone + Send + Sync + 'static>(
    create: MethodRouter<S>,
    cancel: MethodRouter<S>,
) -> OpenApiRouter<S> {
    OpenApiRouter::new().routes(handled_by::<(), S>(routes!(create_booking), create)).routes(handled_by::<
        (),
        S,
    >(
        routes!(cancel_booking),
        cancel,
    ))
}

/// What only reads.
pub fn reads() -> OpenApiRouter<Pool> {
    OpenApiRouter::new().routes(routes!(get_booking))
}

/// A booking, whatever the states of its saga are called.
///
/// # Errors
/// When there is none: no order, or one without a ticket.
pub async fn find_booking(pool: &Pool, id: OrderId) -> Result<Booking, ApiError> {
    let found = pool.run(move |conn| {
        Box::pin(async move {
            let saga: Option<Saga<IgnoredAny>> = saga::find(conn, id).await?;
            Ok::<_, StoreError>(saga.zip(order::find(conn, id).await?))
        })
    });
    let booking = found.await?.and_then(|(saga, order)| {
        let steps = saga.steps.into_iter().map(StepTaken::from).collect();
        Some(Booking { order: order.into(), event_id: saga.event_id?, ticket_id: saga.ticket_id, steps })
    });
    booking.ok_or(ApiError::NotFound("booking"))
}

/// Creates an order with a ticket and has it paid.
#[utoipa::path(post, path = "/bookings", tag = "bookings", params(IdempotencyKeyHeader, PreferHeader),
    request_body = CreateBookingRequest,
    responses((status = 201, description = "Created and paid.", body = BookingCreated,
            headers(("Location" = String, description = "Where the booking can be read."))),
        Accepted, BadRequest, NotFound, Conflict, PreconditionFailed, TooLarge, KeyReused, Internal, Unavailable))]
async fn create_booking() {}

/// A booking, with its steps as they happen.
#[utoipa::path(get, path = "/bookings/{orderId}", tag = "bookings",
    params(("orderId" = inline(OrderId), Path)),
    responses((status = 200, description = "The booking.", body = Booking), NotFound, Internal, Unavailable))]
pub(crate) async fn get_booking(
    State(pool): State<Pool>,
    Path(order): Path<OrderId>,
) -> Result<axum::Json<Booking>, ApiError> {
    Ok(axum::Json(find_booking(&pool, order).await?))
}

/// Cancels a booking that is neither paid nor rejected. It ends rejected, once everything is undone.
#[utoipa::path(delete, path = "/bookings/{orderId}", tag = "bookings",
    params(("orderId" = inline(OrderId), Path)),
    responses((status = 202, description = "It is being cancelled.", body = Booking),
        NotFound, Conflict, Internal, Unavailable))]
async fn cancel_booking() {}
