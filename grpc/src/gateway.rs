//! The gateway in the gRPC style: speaks HTTP with clients and gRPC with the service that owns the effect, and keeps nothing.
//!
//! Every handler is the same three steps: a request of HTTP becomes a message, its owner is called, and what comes of that is an answer
//! of HTTP again.

use api::contract::Handlers;
use api::page::{EmailsQuery, OrdersQuery, Page};
use api::types::{
    AccountBalance, CreateOrderRequest, CreateUserRequest, DepositRequest, EmailAccepted, SendEmailRequest,
    WithdrawRequest,
};
use api::{ApiError, Deliverable, IdempotencyKey, Prefer, contract, docs};
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post, put};
use clap::Args;
use domain::{EmailId, Operation, OrderId, Profile, RequestId, Settlement, UserId};
use http::{HeaderMap, StatusCode};
use rpc::{CallError, ChannelSettings, Client, Target};
use rpc_contract::billing::{self, BillingServiceClient};
use rpc_contract::notification::{self, NotificationServiceClient};
use rpc_contract::order::{self, OrderServiceClient, Outcome};
use rpc_contract::{told_outside, unusable};
use service::{Service, ServiceSettings};
use utoipa_axum::router::OpenApiRouter;
use web::{Check, Json, Path, Problem, Query};

/// Settings of the gateway.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    #[command(flatten)]
    service: ServiceSettings,
    #[command(flatten)]
    browsers: web::BrowserSettings,
    #[command(flatten)]
    channel: ChannelSettings,
    /// Where billing is, such as `http://billing:8080`: several addresses with commas in between, or a name that stands for several.
    #[arg(long, env = "BILLING_URL")]
    billing_url: Target,
    /// Where the order service is, such as `http://order:8080`.
    #[arg(long, env = "ORDER_URL")]
    order_url: Target,
    /// Where notification is, such as `http://notification:8080`.
    #[arg(long, env = "NOTIFICATION_URL")]
    notification_url: Target,
}

/// The services behind the gateway.
#[derive(Clone)]
pub(crate) struct Peers {
    billing: BillingServiceClient,
    order: OrderServiceClient,
    notification: NotificationServiceClient,
}

/// Everything that clients may ask.
pub(crate) fn routes() -> OpenApiRouter<Peers> {
    docs::documented("grpc", "gateway", "The one address clients know.").merge(contract::routes(Handlers {
        create_user: post(create_user),
        get_user: get(get_user),
        update_profile: put(update_profile),
        deposit: post(deposit),
        withdraw: post(withdraw),
        get_request: get(get_request),
        create_order: post(create_order),
        list_orders: get(list_orders),
        get_order: get(get_order),
        get_order_request: get(get_order_request),
        send_email: post(send_email),
        list_emails: get(list_emails),
    }))
}

async fn create_user(
    State(Peers { billing, .. }): State<Peers>,
    key: IdempotencyKey,
    Deliverable(asked): Deliverable<CreateUserRequest>,
) -> Result<Response, Problem> {
    let request = billing::CreateUserRequest::of(key.request_id(Operation::CreateUser), asked);
    let created = billing.create_user(&request).await.map_err(|error| not_done(error, Some(&key)))?;
    Ok(api::billing::user_created(UserId(created.user_id)))
}

async fn get_user(
    State(Peers { billing, .. }): State<Peers>,
    Path(id): Path<UserId>,
) -> Result<Response, Problem> {
    let found = billing.get_user(&billing::GetUserRequest { user_id: id.0 }).await.map_err(problem)?;
    Ok(api::billing::with_etag(read("billing", billing::user(found.user))?))
}

async fn update_profile(
    State(Peers { billing, .. }): State<Peers>,
    Path(id): Path<UserId>,
    headers: HeaderMap,
    Deliverable(profile): Deliverable<Profile>,
) -> Result<Response, Problem> {
    let request = billing::UpdateProfileRequest {
        request_id: web::RequestContext::current().uuid().to_string(),
        user_id: id.0,
        profile: Some((&profile).into()),
        if_version: api::billing::if_match(&headers)?,
    };
    let updated = billing.update_profile(&request).await.map_err(problem)?;
    Ok(api::billing::with_etag(read("billing", billing::user(updated.user))?))
}

async fn deposit(
    State(Peers { billing, .. }): State<Peers>,
    Path(user): Path<UserId>,
    key: IdempotencyKey,
    Json(DepositRequest { amount }): Json<DepositRequest>,
) -> Result<axum::Json<AccountBalance>, Problem> {
    let request = billing::DepositRequest {
        request_id: key.request_id(Operation::Deposit).to_string(),
        user_id: user.0,
        amount_minor: amount.minor_units(),
    };
    let done = billing.deposit(&request).await.map_err(|error| not_done(error, Some(&key)))?;
    Ok(axum::Json(AccountBalance { balance: read("billing", billing::balance(done.balance_minor))? }))
}

async fn withdraw(
    State(Peers { billing, .. }): State<Peers>,
    Path(user): Path<UserId>,
    key: IdempotencyKey,
    Json(WithdrawRequest { amount }): Json<WithdrawRequest>,
) -> Result<axum::Json<AccountBalance>, Problem> {
    let request = billing::WithdrawRequest {
        request_id: key.request_id(Operation::Withdraw).to_string(),
        user_id: user.0,
        amount_minor: amount.minor_units(),
        // A client cannot say that a withdrawal belongs to an order.
        order_id: None,
    };
    let done = billing.withdraw(&request).await.map_err(|error| not_done(error, Some(&key)))?;
    Ok(axum::Json(AccountBalance { balance: read("billing", billing::balance(done.balance_minor))? }))
}

async fn get_request(
    State(Peers { billing, .. }): State<Peers>,
    Path(id): Path<RequestId>,
) -> Result<Response, Problem> {
    let request = billing::GetRequestRequest { request_id: id.to_string() };
    let found = billing.get_request(&request).await.map_err(problem)?;
    let finished = read("billing", found.request.map(billing::finished).transpose())?;
    Ok(api::billing::finished(finished, id))
}

/// Waits as long as the client does, and leaves repeating to the order service, so that one layer repeats and not two.
async fn create_order(
    State(Peers { order, .. }): State<Peers>,
    key: IdempotencyKey,
    prefer: Prefer,
    Json(asked): Json<CreateOrderRequest>,
) -> Result<Response, Problem> {
    let id = key.request_id(Operation::CreateOrder);
    let request = order::CreateOrderRequest::of(id, asked, &prefer);
    let call = order.create_order(&request).once().timeout(prefer.deadline());
    let created = call.await.map_err(|error| not_done(error, Some(&key)))?;
    match read("order", created.outcome.ok_or("there is no outcome"))? {
        Outcome::Paid(paid) => Ok(api::order::settled(OrderId(paid.order_id), Settlement::Paid)?),
        Outcome::Accepted(_) => Ok(api::order::accepted(id, &prefer)),
    }
}

async fn list_orders(
    State(Peers { order, .. }): State<Peers>,
    Query(query): Query<OrdersQuery>,
) -> Result<Response, Problem> {
    let found = order.list_orders(&order::ListOrdersRequest::of(query)).await.map_err(problem)?;
    let entries = read("order", found.orders.into_iter().map(order::order).collect())?;
    let page = Page { entries, limit: query.limit, has_next: found.next_after.is_some() };
    Ok(api::order::listed(page, query.user_id))
}

async fn get_order(
    State(Peers { order, .. }): State<Peers>,
    Path(id): Path<OrderId>,
) -> Result<Response, Problem> {
    let found = order.get_order(&order::GetOrderRequest { order_id: id.0 }).await.map_err(problem)?;
    let found = found.order.ok_or_else(|| "there is no order".to_owned()).and_then(order::order);
    Ok(api::order::with_etag(read("order", found)?))
}

async fn get_order_request(
    State(Peers { order, .. }): State<Peers>,
    Path(id): Path<RequestId>,
) -> Result<Response, Problem> {
    let request = order::GetOrderByRequestRequest { request_id: id.to_string() };
    let found = order.get_order_by_request(&request).await.map_err(problem)?;
    let order = read("order", found.order.map(order::order).transpose())?;
    Ok(api::order::settled_by_request(order, id))
}

async fn send_email(
    State(Peers { notification, .. }): State<Peers>,
    Path(user): Path<UserId>,
    key: IdempotencyKey,
    Json(SendEmailRequest { email, title, message }): Json<SendEmailRequest>,
) -> Result<(StatusCode, axum::Json<EmailAccepted>), Problem> {
    let request = notification::SendEmailRequest {
        request_id: key.request_id(Operation::SendEmail).to_string(),
        user_id: user.0,
        email: email.into(),
        title: title.into(),
        message: message.into(),
        // A client cannot say that an email belongs to an order.
        order_id: None,
    };
    let stored = notification.send_email(&request).await.map_err(|error| not_done(error, Some(&key)))?;
    Ok((StatusCode::ACCEPTED, axum::Json(EmailAccepted { email_id: EmailId(stored.email_id) })))
}

async fn list_emails(
    State(Peers { notification, .. }): State<Peers>,
    Path(user): Path<UserId>,
    Query(query): Query<EmailsQuery>,
) -> Result<Response, Problem> {
    let request = notification::ListEmailsRequest::of(user, query);
    let found = notification.list_emails(&request).await.map_err(problem)?;
    let entries = read("notification", found.emails.into_iter().map(notification::email).collect())?;
    let page = Page { entries, limit: query.limit, has_next: found.next_after.is_some() };
    Ok(api::notification::listed(page, user))
}

/// What is in a response, or 503: whoever answers so speaks another version of the contract.
fn read<T>(peer: &'static str, response: Result<T, impl std::fmt::Display>) -> Result<T, Problem> {
    response.map_err(|what| problem(unusable(peer, what)))
}

fn problem(error: CallError) -> Problem {
    not_done(error, None)
}

/// The owner's refusal, or why there is no answer. A 503 names the key under which the request can be repeated: a client that sent
/// none has no other way to find out what became of it.
fn not_done(error: CallError, key: Option<&IdempotencyKey>) -> Problem {
    let problem = match error {
        CallError::Refused { refusal, .. } => told_outside(refusal),
        CallError::Peer(error) => Problem::from(ApiError::from(error)),
    };
    match key.filter(|_| problem.status == StatusCode::SERVICE_UNAVAILABLE.as_u16()) {
        Some(key) => problem.with("idempotencyKey", key.as_str()),
        None => problem,
    }
}

impl Peers {
    fn connect(settings: &Settings) -> (Self, [Check; 3]) {
        let client = Client::new(settings.channel.clone());
        let billing = client.channel("billing", settings.billing_url.clone());
        let order = client.channel("order", settings.order_url.clone());
        let notification = client.channel("notification", settings.notification_url.clone());
        // They say who is away; without them the gateway can do something all the same.
        let checks = [&order, &billing, &notification].map(|channel| {
            let channel = channel.clone();
            Check::optional(channel.name(), move || {
                let channel = channel.clone();
                async move { channel.probe().await }
            })
        });
        let peers = Self {
            billing: BillingServiceClient::new(billing),
            order: OrderServiceClient::new(order),
            notification: NotificationServiceClient::new(notification),
        };
        (peers, checks)
    }
}

/// Runs the gateway until it is told to stop.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<()> {
    let (peers, checks) = Peers::connect(&settings);
    let mut service = Service::start("gateway", settings.service).await?;
    service.checks(checks);
    service.serve_clients(routes().with_state(peers), api::request_deadline, settings.browsers).await
}
