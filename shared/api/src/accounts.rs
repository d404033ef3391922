//! Registering and depositing where billing is asked itself: the routes of the styles in which neither travels as a message.

use axum::extract::State;
use axum::response::Response;
use domain::{Operation, UserId};
use store::Pool;
use store::billing::Deposit;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{Json, Path};

use crate::billing::user_created;
use crate::docs::{BadRequest, Conflict, Internal, KeyReused, NotFound, TooLarge, Unavailable};
use crate::operations::billing as operations;
use crate::password::PasswordHasher;
use crate::types::{AccountBalance, CreateUserRequest, DepositRequest, UserCreated};
use crate::{ApiError, Deliverable, IdempotencyKey, IdempotencyKeyHeader};

/// What the routes need: the tables, and a hasher, since billing alone sees a password.
#[derive(Clone)]
pub struct Accounts {
    /// Billing's database.
    pub pool: Pool,
    /// Hashes passwords.
    pub passwords: PasswordHasher,
}

/// Both of them.
pub fn routes() -> OpenApiRouter<Accounts> {
    OpenApiRouter::new().routes(routes!(create_user)).routes(routes!(deposit))
}

/// Registers a user and opens an account that holds 0.
#[utoipa::path(post, path = "/billing/user", tag = "billing", params(IdempotencyKeyHeader),
    request_body = CreateUserRequest,
    responses((status = 201, description = "The user.", body = UserCreated,
            headers(("Location" = String, description = "Where the user can be read."))),
        BadRequest, Conflict, TooLarge, KeyReused, Internal, Unavailable))]
pub async fn create_user(
    State(Accounts { pool, passwords }): State<Accounts>,
    key: IdempotencyKey,
    Deliverable(asked): Deliverable<CreateUserRequest>,
) -> Result<Response, ApiError> {
    let request = key.request_id(Operation::CreateUser);
    operations::create_user(&pool, &passwords, request, asked).await.map(user_created)
}

/// Puts money on an account.
#[utoipa::path(post, path = "/billing/deposit/{userId}", tag = "billing",
    params(("userId" = inline(UserId), Path), IdempotencyKeyHeader),
    request_body = DepositRequest,
    responses((status = 200, description = "What the account holds now.", body = AccountBalance),
        BadRequest, NotFound, TooLarge, KeyReused, Internal, Unavailable))]
pub async fn deposit(
    State(Accounts { pool, .. }): State<Accounts>,
    Path(user_id): Path<UserId>,
    key: IdempotencyKey,
    Json(DepositRequest { amount }): Json<DepositRequest>,
) -> Result<axum::Json<AccountBalance>, ApiError> {
    let request = key.request_id(Operation::Deposit);
    let balance = operations::deposit(&pool, request, Deposit { user_id, amount }).await?;
    Ok(axum::Json(AccountBalance { balance }))
}
