//! The gateway with thin events: what has an effect becomes a message; a message tells that it is done, and a GET
//! what came of it. Reads are passed on.
//!
//! It keeps no state: it publishes, waits for Kafka's acknowledgement, and then for the outcome (see `messaging::Requests`).

use api::docs;
use api::gateway::Peers;
use api::password::PasswordHasher;
use api::types::{AccountBalance, CreateOrderRequest, CreateUserRequest, DepositRequest, Order};
use api::{ApiError, Deliverable, IdempotencyKey, Prefer};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use domain::{Balance, Money, Operation, RequestId, Settlement, UserId};
use messaging::{Answers, HandlerError as _, Outgoing, Requests};
use service::{Failure, GatewaySettings, Service};
use store::chain;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use web::{Client, Json, Path, Problem};

use crate::calls;
use crate::messages::{
    DepositProcessed, DepositRequested, OrderCreationRequested, OrderProcessed, TYPES, UserCreationProcessed,
    UserCreationRequested,
};

messaging::consumes! {
    /// What clients wait for.
    pub(crate) enum Incoming of TYPES; { UserCreationProcessed, DepositProcessed, OrderProcessed }
}

/// What the handlers need.
#[derive(Clone)]
pub(crate) struct Gateway {
    requests: Requests<Incoming>,
    peers: Peers,
    passwords: PasswordHasher,
    shutdown: CancellationToken,
}

/// The routes that travel as messages.
pub(crate) fn own_routes() -> OpenApiRouter<Gateway> {
    let asked = api::asked::routes(post(create_user), post(deposit), post(create_order));
    docs::documented("event-notifications", "gateway", "The one address clients know.").merge(asked)
}

/// Registers a user and opens an account that holds 0.
async fn create_user(
    State(gateway): State<Gateway>,
    key: IdempotencyKey,
    prefer: Prefer,
    Deliverable(request): Deliverable<CreateUserRequest>,
) -> Result<Response, Problem> {
    let answer_by = Instant::now() + prefer.wait();
    let request_id = key.request_id(Operation::CreateUser);
    let (registration, password) = request.into_parts();
    let password_hash = gateway.passwords.hash_by(answer_by, password).await?;

    let username = registration.username.as_str().to_owned();
    let asked = UserCreationRequested { registration, password_hash };
    let message = Outgoing::new(&username, format_args!("registration/{username}"), &asked);
    let asked_for = gateway.requests.ask(message, request_id.0, answer_by).await;
    let mut answers = asked_for.map_err(|error| key.unavailable(error))?;
    if prefer.respond_async {
        return Ok(api::billing::accepted(request_id, &prefer));
    }
    match web::in_time(answer_by, &gateway.shutdown, answers.first()).await {
        Some(Incoming::UserCreationProcessed(UserCreationProcessed { user_id: Some(user), .. })) => {
            Ok(api::billing::user_created(user))
        }
        Some(Incoming::UserCreationProcessed(UserCreationProcessed { error: Some(error), .. })) => {
            Err(ApiError::from(error.code).into())
        }
        Some(_) | None => Ok(api::billing::accepted(request_id, &prefer)),
    }
}

/// Puts money on an account.
async fn deposit(
    State(gateway): State<Gateway>,
    Path(user_id): Path<UserId>,
    key: IdempotencyKey,
    prefer: Prefer,
    Json(DepositRequest { amount }): Json<DepositRequest>,
) -> Result<Response, Problem> {
    let answer_by = Instant::now() + prefer.wait();
    let request_id = key.request_id(Operation::Deposit);
    let asked = DepositRequested { user_id, money_amount: Money(amount) };
    let message = Outgoing::new(user_id, format_args!("user/{user_id}"), &asked);
    let asked_for = gateway.requests.ask(message, request_id.0, answer_by).await;
    let mut answers = asked_for.map_err(|error| key.unavailable(error))?;
    if prefer.respond_async {
        return Ok(api::billing::accepted(request_id, &prefer));
    }
    let balance = async {
        match answers.first().await {
            Incoming::DepositProcessed(DepositProcessed { error: Some(error), .. }) => {
                Err(ApiError::from(error.code))
            }
            // The message does not say what the account holds.
            _ => Ok(gateway.balance_after(request_id).await),
        }
    };
    match web::in_time(answer_by, &gateway.shutdown, balance).await {
        Some(Ok(Some(balance))) => Ok(axum::Json(AccountBalance { balance }).into_response()),
        Some(Err(refused)) => Err(refused.into()),
        Some(Ok(None)) | None => Ok(api::billing::accepted(request_id, &prefer)),
    }
}

/// Creates an order and has it paid.
async fn create_order(
    State(gateway): State<Gateway>,
    key: IdempotencyKey,
    prefer: Prefer,
    Json(CreateOrderRequest { user_id, price }): Json<CreateOrderRequest>,
) -> Result<Response, Problem> {
    let answer_by = Instant::now() + prefer.wait();
    let request_id = key.request_id(Operation::CreateOrder);
    let asked = OrderCreationRequested { user_id, price: Money(price) };
    let message = Outgoing::new(user_id, format_args!("request/{request_id}"), &asked);
    let asked_for = gateway.requests.ask(message, request_id.0, answer_by).await;
    let mut answers = asked_for.map_err(|error| key.unavailable(error))?;
    if prefer.respond_async {
        return Ok(api::order::accepted(request_id, &prefer));
    }
    match web::in_time(answer_by, &gateway.shutdown, gateway.processed(&mut answers)).await {
        // The order that the key named before.
        Some(Some(order)) if order.user_id != user_id || order.price != price => {
            Err(ApiError::KeyReused.into())
        }
        Some(Some(order)) => match Settlement::of(order.status, order.reason) {
            Some(settlement) => Ok(api::order::settled(order.id, settlement)?),
            None => Ok(api::order::accepted(request_id, &prefer)),
        },
        // Still on its way; or it has ended, and the order service cannot say how.
        Some(None) | None => Ok(api::order::accepted(request_id, &prefer)),
    }
}

impl Gateway {
    /// The end of the order that is waited for: whichever message of the same request led to it.
    async fn processed(&self, answers: &mut Answers<Incoming>) -> Option<Order> {
        let (order_id, event) = answers
            .find_map(|event| match event.message {
                Incoming::OrderProcessed(OrderProcessed { order_id }) => Some((order_id, event)),
                _ => None,
            })
            .await;
        let ask = || calls::find_order(&self.peers.order, order_id, &event);
        let order = web::ask_until_answered(ask, Failure::is_transient).await;
        order.inspect_err(|error| tracing::warn!(error = chain(error), "an outcome cannot be read")).ok()
    }

    /// What the account held after a deposit.
    async fn balance_after(&self, request: RequestId) -> Option<Balance> {
        let ask = || calls::find_balance(&self.peers.billing, request);
        let balance = web::ask_until_answered(ask, Failure::is_transient).await;
        balance.inspect_err(|error| tracing::warn!(error = chain(error), "an outcome cannot be read")).ok()
    }
}

/// Runs the gateway until it is told to stop.
pub(crate) async fn run(settings: GatewaySettings) -> anyhow::Result<()> {
    let passwords = PasswordHasher::new(&settings.passwords)?;
    let mut service = Service::start("gateway", settings.service).await?;
    let peers = settings.peers.connect(&Client::new(settings.client)?);
    let requests = Requests::new("gateway", &settings.kafka)?;
    // To the end: clients are still waiting when the server is told to stop.
    service.to_the_end(|stop| requests.clone().read_outcomes(settings.kafka, stop));
    let reading = requests.clone();
    // A gateway that does not read outcomes would let clients wait for nothing; without the others it can do something.
    service.ready_if("outcomes", "Kafka has not been reached yet", move || reading.is_reading());
    service.checks(peers.checks());
    let gateway = Gateway { requests, peers: peers.clone(), passwords, shutdown: service.shutdown() };
    let routes = own_routes().with_state(gateway).merge(api::gateway::routes(&peers));
    service.serve_clients(routes, api::messages_deadline, settings.browsers).await
}
