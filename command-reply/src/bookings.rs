//! How clients ask for bookings, orders with a ticket, and cancel them. How one proceeds is in [`saga`](crate::saga).

use api::bookings::{Booking, CreateBookingRequest, created, find_booking};
use api::{ApiError, IdempotencyKey, Prefer};
use axum::extract::State;
use axum::response::Response;
use axum::routing::{delete, post};
use domain::{Operation, OrderId, Refusal, Settlement};
use http::StatusCode;
use messaging::{Cause, Said};
use service::Failure;
use sqlx::postgres::PgConnection;
use store::order::NewOrder;
use utoipa_axum::router::OpenApiRouter;
use web::{Json, Path};

use crate::order::Orders;
use crate::orders::{Saga, advance};
use crate::saga::{Happened, State as Stands};

/// What has an effect.
pub(crate) fn routes() -> OpenApiRouter<Orders> {
    api::bookings::routes(post(create_booking), delete(cancel_booking))
}

/// Creates an order with a ticket and has it paid.
async fn create_booking(
    State(orders): State<Orders>,
    key: IdempotencyKey,
    prefer: Prefer,
    Json(CreateBookingRequest { user_id, price, event_id }): Json<CreateBookingRequest>,
) -> Result<Response, ApiError> {
    let request = key.request_id(Operation::CreateBooking);
    let new = NewOrder { request, user: user_id, price, user_version: None };
    match orders.order(new, Some(event_id), &prefer).await? {
        (order, Some(Settlement::Paid)) => {
            let ticket = find_booking(orders.outbox.pool(), order).await?.ticket_id;
            Ok(created(order, ticket.ok_or(ApiError::NotFound("ticket"))?))
        }
        (order, Some(Settlement::Rejected(why))) => Err(ApiError::Withdrawal(why, Some(order))),
        (_, None) => Ok(api::order::accepted(request, &prefer)),
    }
}

/// Cancels a booking that is neither paid nor rejected.
async fn cancel_booking(
    State(orders): State<Orders>,
    Path(order): Path<OrderId>,
) -> Result<(StatusCode, axum::Json<Booking>), ApiError> {
    let cancelled = orders.outbox.transaction(move |tx, said| Box::pin(give_up(tx, order, said)));
    if matches!(cancelled.await?, Stands::Confirming | Stands::Ended) {
        return Err(ApiError::Conflict("already-decided", "The booking is paid or rejected already."));
    }
    Ok((StatusCode::ACCEPTED, axum::Json(find_booking(orders.outbox.pool(), order).await?)))
}

/// Has a booking give up, if it still can; says where it stood before.
async fn give_up(tx: &mut PgConnection, order: OrderId, said: &mut Said) -> Result<Stands, ApiError> {
    let saga: Option<Saga> = store::saga::lock_all(tx, &[order]).await?.remove(&order);
    let saga = saga.filter(|saga| saga.event_id.is_some()).ok_or(ApiError::NotFound("booking"))?;
    if saga.state.may_be_given_up() {
        // Participants know the order's request, not this one.
        let cause = Cause::request(saga.request_id.0);
        let news = (&cause, order, Happened::GivenUp(Refusal::Cancelled));
        advance(tx, &[news], said).await.map_err(|failure| match failure {
            Failure::Store(error) => error.into(),
            other => ApiError::Internal(Box::new(other)),
        })?;
    }
    Ok(saga.state)
}
