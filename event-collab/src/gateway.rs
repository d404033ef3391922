//! The gateway with fat events: what has an effect becomes a message, and the answer is in a message, too. Reads
//! are passed on.
//!
//! It keeps no state: it publishes, waits for Kafka's acknowledgement, and then for the outcome (see `messaging::Outcomes`).

use std::sync::Arc;
use std::time::Duration;

use api::docs::{
    self, Accepted, BadRequest, Conflict, Internal, KeyReused, NotFound, PreconditionFailed, TooLarge,
    Unavailable,
};
use api::gateway::Peers;
use api::password::{Password, PasswordHasher, PasswordSettings};
use api::types::{
    AccountBalance, CreateOrderRequest, CreateUserRequest, DepositRequest, OrderCreated, UserCreated,
};
use api::{ApiError, Deliverable, IdempotencyKey, IdempotencyKeyHeader, Prefer, PreferHeader};
use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use clap::Args;
use domain::{Money, Operation, RequestId, Settlement, UserId};
use messaging::{Cause, Outcomes, Outgoing, Producer, Waiting};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;
use web::{Check, Client, Json, Path, Problem, ServerSettings};

use crate::messages::{
    DepositProcessed, DepositRequested, OrderCreationRequested, OrderProcessed, TYPES, UserCreationFailed,
    UserCreationRequested, UserCreationSucceeded,
};

/// Settings of the gateway.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    #[command(flatten)]
    server: web::ListenSettings,
    #[command(flatten)]
    client: web::ClientSettings,
    #[command(flatten)]
    peers: api::gateway::PeerSettings,
    #[command(flatten)]
    kafka: messaging::KafkaSettings,
    #[command(flatten)]
    passwords: PasswordSettings,
    #[command(flatten)]
    addresses: api::AddressSettings,
    #[command(flatten)]
    telemetry: telemetry::Settings,
}

/// What hashing a password may take even if the client waits for less.
const HASHED_MIN: Duration = Duration::from_millis(400);

messaging::consumes! {
    /// What clients wait for.
    pub(crate) enum Incoming of TYPES; {
        UserCreationSucceeded, UserCreationFailed, DepositProcessed, OrderProcessed,
    }
}

/// What the handlers need.
#[derive(Clone)]
pub(crate) struct Gateway {
    producer: Producer,
    outcomes: Arc<Outcomes<Incoming>>,
    passwords: PasswordHasher,
    shutdown: CancellationToken,
}

/// The routes that travel as messages.
pub(crate) fn own_routes() -> OpenApiRouter<Gateway> {
    docs::documented("event-collab", "gateway", "The one address clients know.")
        .routes(routes!(create_user))
        .routes(routes!(deposit))
        .routes(routes!(create_order))
}

/// Registers a user and opens an account that holds 0.
#[utoipa::path(post, path = "/billing/user", tag = "billing", params(IdempotencyKeyHeader, PreferHeader),
    request_body = CreateUserRequest,
    responses((status = 201, description = "The user.", body = UserCreated,
            headers(("Location" = String, description = "Where the user can be read."))),
        Accepted, BadRequest, Conflict, TooLarge, KeyReused, Internal, Unavailable))]
async fn create_user(
    State(gateway): State<Gateway>,
    key: IdempotencyKey,
    prefer: Prefer,
    Deliverable(request): Deliverable<CreateUserRequest>,
) -> Result<Response, Problem> {
    let answer_by = Instant::now() + prefer.wait();
    let request_id = key.request_id(Operation::CreateUser);
    let (registration, password) = request.into_parts();
    let password_hash = gateway.hash(password, answer_by).await?;

    let mut answers = gateway.outcomes.wait_for(request_id.0);
    let username = registration.username.as_str().to_owned();
    let asked = UserCreationRequested { registration, password_hash };
    let message = Outgoing::new(&username, format_args!("registration/{username}"), &asked);
    let message_id = gateway.publish(message, request_id, &key, answer_by).await?;
    if prefer.respond_async {
        return Ok(api::billing::accepted(request_id, &prefer));
    }
    match web::in_time(answer_by, &gateway.shutdown, answers.answer_to(message_id)).await {
        Some(Incoming::UserCreationSucceeded(UserCreationSucceeded { user_info })) => {
            Ok(api::billing::user_created(user_info.user_id))
        }
        Some(Incoming::UserCreationFailed(UserCreationFailed { error, .. })) => {
            Err(ApiError::from(error.code).into())
        }
        Some(_) | None => Ok(api::billing::accepted(request_id, &prefer)),
    }
}

/// Puts money on an account.
#[utoipa::path(post, path = "/billing/deposit/{userId}", tag = "billing",
    params(("userId" = inline(UserId), Path), IdempotencyKeyHeader, PreferHeader),
    request_body = DepositRequest,
    responses((status = 200, description = "What the account holds now.", body = AccountBalance),
        Accepted, BadRequest, NotFound, TooLarge, KeyReused, Internal, Unavailable))]
async fn deposit(
    State(gateway): State<Gateway>,
    Path(user_id): Path<UserId>,
    key: IdempotencyKey,
    prefer: Prefer,
    Json(DepositRequest { amount }): Json<DepositRequest>,
) -> Result<Response, Problem> {
    let answer_by = Instant::now() + prefer.wait();
    let request_id = key.request_id(Operation::Deposit);
    let mut answers = gateway.outcomes.wait_for(request_id.0);
    let asked = DepositRequested { user_id, money_amount: Money(amount) };
    let message = Outgoing::new(user_id, format_args!("user/{user_id}"), &asked);
    let message_id = gateway.publish(message, request_id, &key, answer_by).await?;
    if prefer.respond_async {
        return Ok(api::billing::accepted(request_id, &prefer));
    }
    match web::in_time(answer_by, &gateway.shutdown, answers.answer_to(message_id)).await {
        Some(Incoming::DepositProcessed(DepositProcessed { balance: Some(Money(balance)), .. })) => {
            Ok(axum::Json(AccountBalance { balance }).into_response())
        }
        Some(Incoming::DepositProcessed(DepositProcessed { error: Some(error), .. })) => {
            Err(ApiError::from(error.code).into())
        }
        Some(_) | None => Ok(api::billing::accepted(request_id, &prefer)),
    }
}

/// Creates an order and has it paid.
#[utoipa::path(post, path = "/orders", tag = "orders", params(IdempotencyKeyHeader, PreferHeader),
    request_body = CreateOrderRequest,
    responses((status = 201, description = "Created and paid.", body = OrderCreated,
            headers(("Location" = String, description = "Where the order can be read."))),
        Accepted, BadRequest, NotFound, PreconditionFailed, TooLarge, KeyReused, Internal, Unavailable))]
async fn create_order(
    State(gateway): State<Gateway>,
    key: IdempotencyKey,
    prefer: Prefer,
    Json(CreateOrderRequest { user_id, price }): Json<CreateOrderRequest>,
) -> Result<Response, Problem> {
    let answer_by = Instant::now() + prefer.wait();
    let request_id = key.request_id(Operation::CreateOrder);
    let mut answers = gateway.outcomes.wait_for(request_id.0);
    let asked = OrderCreationRequested { user_id, price: Money(price) };
    let message = Outgoing::new(user_id, format_args!("request/{request_id}"), &asked);
    gateway.publish(message, request_id, &key, answer_by).await?;
    if prefer.respond_async {
        return Ok(api::order::accepted(request_id, &prefer));
    }
    match web::in_time(answer_by, &gateway.shutdown, processed(&mut answers)).await {
        // The order that the key named before.
        Some(order) if order.user_id != asked.user_id || order.price != asked.price => {
            Err(ApiError::KeyReused.into())
        }
        Some(OrderProcessed { order_id, status, error, .. }) => {
            match Settlement::of(status, error.map(|refused| refused.code)) {
                Some(settlement) => Ok(api::order::settled(order_id, settlement)?),
                None => Ok(api::order::accepted(request_id, &prefer)),
            }
        }
        None => Ok(api::order::accepted(request_id, &prefer)),
    }
}

/// The end of the order that is waited for: whichever message of the same request led to it.
async fn processed(answers: &mut Waiting<Incoming>) -> OrderProcessed {
    loop {
        if let Incoming::OrderProcessed(order) = answers.next().await.message {
            return order;
        }
    }
}

impl Gateway {
    /// Hashes a password, if its turn comes in time.
    async fn hash(&self, password: Password, answer_by: Instant) -> Result<String, Problem> {
        let by = answer_by.max(Instant::now() + HASHED_MIN);
        match timeout_at(by, self.passwords.hash(password)).await {
            Ok(hash) => Ok(hash?),
            Err(_) => Err(Problem::unavailable("Too many registrations. Nothing was done; try again.")),
        }
    }

    /// Hands a request over to Kafka; says under which id.
    async fn publish(
        &self,
        message: Outgoing,
        request_id: RequestId,
        key: &IdempotencyKey,
        answer_by: Instant,
    ) -> Result<Uuid, Problem> {
        if !self.outcomes.is_reading() {
            return Err(Problem::unavailable("Kafka cannot be reached. Nothing was done; try again.")
                .with("idempotencyKey", key.as_str()));
        }
        let published = self.producer.publish(message, &Cause::request(request_id.0), answer_by).await;
        fail::fail_point!("gateway::published");
        published.map_err(|error| {
            tracing::warn!(error = format!("{:#}", anyhow::Error::from(error)), "request not acknowledged");
            Problem::unavailable(
                "Kafka has not acknowledged the request, so the outcome is unknown. Repeat it with the same \
                 Idempotency-Key.",
            )
            .with("idempotencyKey", key.as_str())
        })
    }
}

/// Runs the gateway until it is told to stop.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<()> {
    let telemetry = telemetry::init("gateway", &settings.telemetry)?;
    let passwords =
        PasswordHasher::new(&settings.passwords).map_err(|error| anyhow::anyhow!("ARGON2_*: {error}"))?;
    let listener = web::bind(settings.server.listen).await?;
    let shutdown = web::shutdown_on_signal()?;
    let peers = settings.peers.connect(&Client::new(settings.client)?);
    let producer = Producer::new("gateway", &settings.kafka)?;
    let outcomes = Outcomes::new();
    // After the server: clients are still waiting.
    let stop_reading = CancellationToken::new();
    let reader = Arc::clone(&outcomes).read(settings.kafka, stop_reading.clone());
    let reader = web::spawn_worker(reader, shutdown.clone());

    let server = ServerSettings {
        listen: settings.server,
        checks: checks(&peers, &outcomes),
        metrics: telemetry.metrics(),
        deadline: api::messages_deadline,
        // Whoever calls is a stranger.
        callers_deadline_counts: false,
    };
    let routes = own_routes()
        .with_state(Gateway { producer, outcomes, passwords, shutdown: shutdown.clone() })
        .merge(api::gateway::routes(&peers));
    web::serve(listener, docs::served(routes).layer(Extension(settings.addresses)), server, shutdown).await;
    stop_reading.cancel();
    reader.await??;
    Ok(())
}

/// A gateway that does not read outcomes would let clients wait for nothing; without the others it can do something.
fn checks(peers: &Peers, outcomes: &Arc<Outcomes<Incoming>>) -> Vec<Check> {
    let outcomes = Arc::clone(outcomes);
    let reading = Check::required("outcomes", move || {
        let reading = outcomes.is_reading();
        async move { if reading { Ok(()) } else { Err("Kafka has not been reached yet".to_owned()) } }
    });
    std::iter::once(reading).chain(peers.checks()).collect()
}
