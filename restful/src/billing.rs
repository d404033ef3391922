//! Billing in the RESTful style: decides, remembers and answers. It calls nobody.

use api::billing::once;
use api::docs::{self, BadRequest, Conflict, Internal, KeyReused, NotFound, TooLarge, Unavailable};
use api::password::{PasswordHasher, PasswordSettings};
use api::types::{AccountBalance, CreateUserRequest, DepositRequest, UserCreated};
use api::{ApiError, Deliverable, IdempotencyKey, IdempotencyKeyHeader};
use axum::extract::State;
use axum::response::Response;
use clap::Args;
use domain::{Operation, UserId};
use service::{Service, ServiceSettings};
use store::Pool;
use store::billing::Deposit;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{Json, Path};

/// Settings of billing.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    #[command(flatten)]
    service: ServiceSettings,
    #[command(flatten)]
    database: store::DatabaseSettings,
    #[command(flatten)]
    passwords: PasswordSettings,
}

/// What the handlers need.
#[derive(Clone)]
pub(crate) struct Billing {
    pool: Pool,
    passwords: PasswordHasher,
}

/// The routes that are this style's own.
pub(crate) fn routes() -> OpenApiRouter<Billing> {
    docs::documented("restful", "billing", "Owns users and accounts.")
        .routes(routes!(create_user))
        .routes(routes!(deposit))
}

/// What every style shares; in this one, nobody is told about a profile update.
pub(crate) fn shared_routes() -> OpenApiRouter<Pool> {
    api::billing::routes().routes(routes!(api::billing::update_profile))
}

/// Registers a user and opens an account that holds 0.
#[utoipa::path(post, path = "/billing/user", tag = "billing", params(IdempotencyKeyHeader),
    request_body = CreateUserRequest,
    responses((status = 201, description = "The user.", body = UserCreated,
            headers(("Location" = String, description = "Where the user can be read."))),
        BadRequest, Conflict, TooLarge, KeyReused, Internal, Unavailable))]
pub(crate) async fn create_user(
    State(Billing { pool, passwords }): State<Billing>,
    key: IdempotencyKey,
    Deliverable(request): Deliverable<CreateUserRequest>,
) -> Result<Response, ApiError> {
    let (registration, password) = request.into_parts();
    // Before the transaction: hashing takes longer than anything else here, and a connection is worth more than CPU.
    let password_hash = passwords.hash(password).await?;
    let request = key.request_id(Operation::CreateUser);
    let outcome = pool.transaction(move |tx| {
        Box::pin(async move { store::billing::register(tx, request, &registration, &password_hash).await })
    });
    let user_id = once(outcome.await?)?.map_err(ApiError::Registration)?;
    Ok(api::billing::user_created(user_id))
}

/// Puts money on an account.
#[utoipa::path(post, path = "/billing/deposit/{userId}", tag = "billing",
    params(("userId" = inline(UserId), Path), IdempotencyKeyHeader),
    request_body = DepositRequest,
    responses((status = 200, description = "What the account holds now.", body = AccountBalance),
        BadRequest, NotFound, TooLarge, KeyReused, Internal, Unavailable))]
pub(crate) async fn deposit(
    State(Billing { pool, .. }): State<Billing>,
    Path(user_id): Path<UserId>,
    key: IdempotencyKey,
    Json(DepositRequest { amount }): Json<DepositRequest>,
) -> Result<axum::Json<AccountBalance>, ApiError> {
    let request = key.request_id(Operation::Deposit);
    let outcome = pool
        .transaction(move |tx| Box::pin(store::billing::deposit(tx, request, Deposit { user_id, amount })));
    let balance = once(outcome.await?)??;
    Ok(axum::Json(AccountBalance { balance }))
}

/// Runs billing until it is told to stop.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<()> {
    let passwords = PasswordHasher::new(&settings.passwords)?;
    let mut service = Service::start("billing", settings.service).await?;
    let tables = [store::billing::migrations()];
    let pool = service.database("billing", &settings.database, &tables).await?;
    let routes = routes().with_state(Billing { pool: pool.clone(), passwords });
    service.serve(routes.merge(shared_routes().with_state(pool))).await
}
