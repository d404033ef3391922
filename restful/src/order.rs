//! The order service in the RESTful style: the orchestrator.
//!
//! ```text
//! GET user (billing) -> pending -> POST withdrawal (billing) -> paid | rejected -> POST email (notification) -> answer
//! ```
//!
//! It can die between any two of these. So the pending order is committed, with the key of its withdrawal, before billing is
//! asked for money; every later step can be repeated without a second effect; and what is not finished is written down
//! (see [`orchestration`]).

use api::docs::{
    self, Accepted, BadRequest, Internal, KeyReused, NotFound, PreconditionFailed, TooLarge, Unavailable,
};
use api::types::{CreateOrderRequest, OrderCreated, User};
use api::{ApiError, IdempotencyKey, IdempotencyKeyHeader, Prefer, PreferHeader};
use axum::extract::State;
use axum::response::Response;
use clap::Args;
use domain::{Operation, OrderEmail, UserId};
use orchestration::{
    Asked, Flow, FlowError, RecoverySettings, Unfinished, known_order, outcome, settled_before,
};
use service::{Service, ServiceSettings};
use store::order::Order;
use store::{StoreError, chain};
use tokio::time::{Instant, timeout_at};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{Client, Json};

use crate::calls::{CallError, Calls};

/// Settings of the order service.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    #[command(flatten)]
    service: ServiceSettings,
    #[command(flatten)]
    database: store::DatabaseSettings,
    #[command(flatten)]
    client: web::ClientSettings,
    #[command(flatten)]
    recovery: RecoverySettings,
    /// The address of billing, such as `http://billing:8080`.
    #[arg(long, env = "BILLING_URL")]
    billing_url: url::Url,
    /// The address of notification, such as `http://notification:8080`.
    #[arg(long, env = "NOTIFICATION_URL")]
    notification_url: url::Url,
}

/// What the orchestration needs: its own tables, with the list of what is unfinished, and the two services it calls.
#[derive(Clone)]
pub(crate) struct Orders {
    unfinished: Unfinished,
    calls: Calls,
}

/// The order exists, but a step of it is not done yet. Recovery goes on asking.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the user of a paid order is not known to billing")]
    UserMissing,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FlowError for StepError {
    fn concerns_every_order(&self) -> bool {
        matches!(self, Self::Call(CallError::Peer(_)) | Self::Store(_))
    }
}

/// The service's own route.
pub(crate) fn routes() -> OpenApiRouter<Orders> {
    docs::documented("restful", "order", "Owns orders, and orchestrates.").routes(routes!(create_order))
}

/// Creates an order and has it paid.
#[utoipa::path(post, path = "/orders", tag = "orders", params(IdempotencyKeyHeader, PreferHeader),
    request_body = CreateOrderRequest,
    responses((status = 201, description = "Created and paid.", body = OrderCreated,
            headers(("Location" = String, description = "Where the order can be read."))),
        Accepted, BadRequest, NotFound, PreconditionFailed, TooLarge, KeyReused, Internal, Unavailable))]
pub(crate) async fn create_order(
    State(orders): State<Orders>,
    key: IdempotencyKey,
    prefer: Prefer,
    Json(request): Json<CreateOrderRequest>,
) -> Result<Response, ApiError> {
    let answer_by = Instant::now() + prefer.wait();
    let request_id = key.request_id(Operation::CreateOrder);

    // 1. Who orders? Nothing is written yet: if billing is away, the order is refused and nothing has happened.
    let user = match orders.find_user_before(answer_by, request.user_id).await {
        Ok(user) => user,
        Err(error) => {
            let pool = orders.unfinished.pool();
            let known = known_order(pool, request_id, &request, prefer.respond_async, answer_by).await?;
            return known.map_or(Err(error), |order| outcome(&order, &prefer));
        }
    };
    // 2. The order is pending. From here on it exists, and it ends, whoever hangs up or dies: 3. to 5. run in a task of
    // their own, which outlives this handler.
    let (flow, list) = (orders.clone(), orders.unfinished);
    let finishing =
        list.begin(request_id, request, |order| async move { flow.finish(order, user).await }).await?;
    if prefer.respond_async {
        return Ok(api::order::accepted(request_id, &prefer));
    }
    let order = match timeout_at(answer_by, finishing).await {
        Ok(Ok(Ok(order))) => Some(order),
        // A step failed, and its task has logged why; or it takes too long. That does not mean that there is no outcome: the
        // order may be settled and only its email be late, or recovery ask again in time.
        Ok(_) | Err(_) => settled_before(list.pool(), answer_by, request_id).await,
    };
    match order {
        Some(order) => outcome(&order, &prefer),
        None => Ok(api::order::accepted(request_id, &prefer)),
    }
}

impl Orders {
    /// Asks billing who orders, for as long as the client waits (but long enough for an answer).
    async fn find_user_before(&self, answer_by: Instant, user: UserId) -> Result<Option<User>, ApiError> {
        match Asked::before(answer_by, self.calls.find_user(user)).await {
            Asked::Answered(Ok(user)) => Ok(user),
            Asked::Answered(Err(error)) => {
                tracing::warn!(error = chain(&error), "order refused");
                Err(ApiError::Unavailable(
                    "The billing service cannot be asked. Nothing was done; try again.".to_owned(),
                ))
            }
            Asked::TooSlow => Err(ApiError::Unavailable(
                "The billing service is too slow. Nothing was done; try again.".to_owned(),
            )),
        }
    }

    /// Steps 3 to 5, from pending to the end. What the client is told does not depend on the last one, though it waits for it:
    /// that is this style.
    async fn finish(&self, order: Order, user: Option<User>) -> Result<Order, StepError> {
        if order.settlement().is_some() {
            // A repeat. The first request takes care of the rest, or recovery does.
            return Ok(order);
        }
        let order = self.decide(order).await?;
        if let Err(error) = self.send_email(&order, user).await {
            self.unfinished.lacks_its_email(order.id);
            tracing::warn!(order = order.id.0, error = chain(&error), "the email will follow");
        }
        Ok(order)
    }
}

impl Flow for Orders {
    type Error = StepError;

    /// Steps 3 and 4. Safe to repeat after each of them, and recovery does just that.
    async fn decide(&self, order: Order) -> Result<Order, StepError> {
        if order.settlement().is_some() {
            return Ok(order);
        }
        // 3. Billing decides, also about somebody it did not know a moment ago, and remembers its decision: whoever asks
        // again is told the same.
        let settlement = self.calls.withdraw(&order).await?;
        fail::fail_point!("order::withdrawal_answered");
        // 4. Paid or rejected, for good.
        let order = self.unfinished.settle(order, settlement).await?;
        fail::fail_point!("order::terminal");
        Ok(order)
    }

    /// Step 5, for somebody who does not know the user any more.
    async fn notify(&self, order: &Order) -> Result<(), StepError> {
        self.send_email(order, None).await
    }
}

impl Orders {
    /// Step 5, the email, and the order is finished. Notification being away does not change the order: the email follows
    /// when it is back.
    async fn send_email(&self, order: &Order, user: Option<User>) -> Result<(), StepError> {
        let email = order.settlement().and_then(|settlement| OrderEmail::about(order.id, settlement));
        if let Some(email) = email {
            let user = match user {
                Some(user) => user,
                None => self.calls.find_user(order.user_id).await?.ok_or(StepError::UserMissing)?,
            };
            self.calls.send_email(order, email, user).await?;
        }
        fail::fail_point!("order::email_handed_over");
        self.unfinished.finished(order.id);
        Ok(())
    }
}

/// Runs the order service until it is told to stop.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<()> {
    let mut service = Service::start("order", settings.service).await?;
    let tables = [store::order::migrations(), orchestration::migrations()];
    let pool = service.database("order", &settings.database, &tables).await?;

    let client = Client::new(settings.client)?;
    let calls = Calls {
        billing: client.peer("billing", settings.billing_url),
        notification: client.peer("notification", settings.notification_url),
    };
    let unfinished = Unfinished::new(pool.clone(), settings.recovery);
    let orders = Orders { unfinished: unfinished.clone(), calls };
    service.while_serving(|stop| orchestration::recover_until(stop, orders.clone(), unfinished.clone()));
    // Requests are answered by then; what was answered with 202 is still on its way.
    service.to_the_end(|stop| unfinished.finish_running(stop));
    service.serve(routes().with_state(orders).merge(api::order::routes().with_state(pool))).await
}
