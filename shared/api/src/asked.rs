//! The routes of a gateway that asks by message: the contract is documented here, once; what the handlers do is each style's.

use axum::routing::MethodRouter;
use domain::UserId;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use crate::docs::{
    Accepted, BadRequest, Conflict, Internal, KeyReused, NotFound, PreconditionFailed, TooLarge, Unavailable,
    handled_by,
};
use crate::types::{
    AccountBalance, CreateOrderRequest, CreateUserRequest, DepositRequest, OrderCreated, UserCreated,
};
use crate::{IdempotencyKeyHeader, PreferHeader};

/// The three requests that travel as messages, with the handlers that publish them.
pub fn routes<S: Clone + Send + Sync + 'static>(
    create_user: MethodRouter<S>,
    deposit: MethodRouter<S>,
    create_order: MethodRouter<S>,
) -> OpenApiRouter<S> {
    let documented: [(UtoipaMethodRouter, MethodRouter<S>); 3] = [
        (routes!(self::create_user), create_user),
        (routes!(self::deposit), deposit),
        (routes!(self::create_order), create_order),
    ];
    documented
        .into_iter()
        .fold(OpenApiRouter::new(), |routes, (route, handler)| routes.routes(handled_by(route, handler)))
}

/// Registers a user and opens an account that holds 0.
#[utoipa::path(post, path = "/billing/user", tag = "billing", params(IdempotencyKeyHeader, PreferHeader),
    request_body = CreateUserRequest,
    responses((status = 201, description = "The user.", body = UserCreated,
            headers(("Location" = String, description = "Where the user can be read."))),
        Accepted, BadRequest, Conflict, TooLarge, KeyReused, Internal, Unavailable))]
async fn create_user() {}

/// Puts money on an account.
#[utoipa::path(post, path = "/billing/deposit/{userId}", tag = "billing",
    params(("userId" = inline(UserId), Path), IdempotencyKeyHeader, PreferHeader),
    request_body = DepositRequest,
    responses((status = 200, description = "What the account holds now.", body = AccountBalance),
        Accepted, BadRequest, NotFound, TooLarge, KeyReused, Internal, Unavailable))]
async fn deposit() {}

/// The one of them that creates an order, where the others are passed on over HTTP.
pub fn order_route<S: Clone + Send + Sync + 'static>(create_order: MethodRouter<S>) -> OpenApiRouter<S> {
    OpenApiRouter::new().routes(handled_by::<(), S>(routes!(self::create_order), create_order))
}

/// Creates an order and has it paid.
#[utoipa::path(post, path = "/orders", tag = "orders", params(IdempotencyKeyHeader, PreferHeader),
    request_body = CreateOrderRequest,
    responses((status = 201, description = "Created and paid.", body = OrderCreated,
            headers(("Location" = String, description = "Where the order can be read."))),
        Accepted, BadRequest, NotFound, PreconditionFailed, TooLarge, KeyReused, Internal, Unavailable))]
pub(crate) async fn create_order() {}
