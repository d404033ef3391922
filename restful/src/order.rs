//! The order service in the RESTful style: the orchestrator.
//!
//! ```text
//! GET user (billing) -> pending -> POST withdrawal (billing) -> paid | rejected -> POST email (notification) -> answer
//! ```
//!
//! It can die between any two of these. So the pending order is committed, with the key of its withdrawal, before billing is
//! asked for money; every later step can be repeated without a second effect; and what is not finished is written down
//! (see [`recovery`]).

use std::sync::Arc;

use api::billing::once;
use api::docs::{self, BadRequest, Internal, KeyReused, NotFound, PreconditionFailed, TooLarge, Unavailable};
use api::types::{
    CreateOrderRequest, OrderCreated, OrderEmailRequest, OrderWithdrawRequest, RequestAccepted, User,
};
use api::{ApiError, IDEMPOTENCY_KEY, IdempotencyKey, IdempotencyKeyHeader, Prefer, PreferHeader};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use clap::Args;
use domain::{Operation, OrderEmail, Refusal, RequestId, Settlement, UserId};
use http::{StatusCode, header};
use sqlx::postgres::PgPool;
use store::order::Order;
use store::uninterrupted;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{Call, Client, Json, Peer, PeerError, RequestContext, Retry, ServerSettings};

use crate::recovery::{self, RecoverySettings};

/// Settings of the order service.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    #[command(flatten)]
    server: web::ListenSettings,
    #[command(flatten)]
    database: store::DatabaseSettings,
    #[command(flatten)]
    client: web::ClientSettings,
    #[command(flatten)]
    recovery: RecoverySettings,
    /// Where billing is.
    #[arg(long, env = "BILLING_URL")]
    billing_url: url::Url,
    /// Where notification is.
    #[arg(long, env = "NOTIFICATION_URL")]
    notification_url: url::Url,
    #[command(flatten)]
    telemetry: telemetry::Settings,
}

/// What the orchestration needs: its own table and the two services it calls.
#[derive(Clone)]
pub(crate) struct Orders {
    pub(crate) pool: PgPool,
    pub(crate) billing: Peer,
    pub(crate) notification: Peer,
    pub(crate) recovery: RecoverySettings,
}

/// The order exists, but its outcome is not known yet. Recovery goes on asking.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfinished {
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error("the {peer} service answered {status}, which its contract does not know")]
    Unexpected { peer: &'static str, status: StatusCode },
    #[error(transparent)]
    Store(#[from] store::StoreError),
}

/// The service's own route.
pub(crate) fn routes() -> OpenApiRouter<Orders> {
    docs::documented("restful", "order", "Owns orders, and orchestrates.").routes(routes!(create_order))
}

/// Creates an order and has it paid.
#[utoipa::path(post, path = "/orders", tag = "orders", params(IdempotencyKeyHeader, PreferHeader),
    request_body = CreateOrderRequest,
    responses((status = 201, description = "Created and paid; `Location` is the order.", body = OrderCreated),
        (status = 202, description = "The outcome is not known yet; `Location` is where it will be.", body = RequestAccepted),
        BadRequest, NotFound, PreconditionFailed, TooLarge, KeyReused, Internal, Unavailable))]
pub(crate) async fn create_order(
    State(orders): State<Orders>,
    key: IdempotencyKey,
    prefer: Prefer,
    Json(request): Json<CreateOrderRequest>,
) -> Result<Response, ApiError> {
    let answer_by = Instant::now() + prefer.wait;
    let request_id = key.request_id(Operation::CreateOrder);

    // 1. Who orders? Nothing is written yet: if billing is away, the order is refused and nothing has happened.
    let user = match orders.find_user(request.user_id).await {
        Ok(user) => user,
        Err(error) => {
            return orders.known_outcome(request_id, &request).await?.ok_or(error.into());
        }
    };
    // 2. The order is pending. From here on it exists, and it ends, whoever hangs up or dies.
    // 3. to 5. run in a task of their own, which outlives this handler.
    let finishing = orders.clone().begin(request_id, request, user).await?;
    if prefer.respond_async {
        return Ok(accepted(request_id, "respond-async"));
    }
    match timeout_at(answer_by, finishing).await {
        Ok(Ok(Ok(order))) => outcome(&order),
        // The outcome is unknown, which is not a failure: recovery asks again.
        Ok(_) | Err(_) => Ok(accepted(request_id, &format!("wait={}", prefer.wait.as_secs()))),
    }
}

impl Orders {
    /// Stores the pending order and starts to finish it. A repeated request joins in: every step finds its earlier effect.
    async fn begin(
        self,
        request_id: RequestId,
        request: CreateOrderRequest,
        user: Option<User>,
    ) -> Result<JoinHandle<Result<Order, Unfinished>>, ApiError> {
        let context = RequestContext::current().with_deadline(self.recovery.attempt_max());
        uninterrupted(async move {
            let mut tx = self.pool.begin().await?;
            let order = store::order::create(&mut tx, request_id, request.user_id, request.price).await?;
            let order = once(order)?;
            if order.settlement().is_none() {
                recovery::remember(&mut tx, order.id, self.recovery.due_after()).await?;
            }
            tx.commit().await?;
            fail::fail_point!("order::pending");
            let finish = async move { self.finish(order, user).await };
            Ok(tokio::spawn(context.scope(finish).in_current_span()))
        })
        .await
    }

    /// Steps 3 to 5: from pending to the end. Safe to repeat after each of them, and recovery does just that.
    pub(crate) async fn finish(&self, order: Order, user: Option<User>) -> Result<Order, Unfinished> {
        let order = match order.settlement() {
            Some(_) => order,
            None => {
                // 3. Billing decides; for somebody it does not know there is nothing to decide.
                let settlement = match &user {
                    Some(_) => self.withdraw(&order).await?,
                    None => Settlement::Rejected(Refusal::AccountNotFound),
                };
                fail::fail_point!("order::withdrawal_answered");
                // 4. Paid or rejected, for good.
                self.settle(order, settlement).await?
            }
        };
        fail::fail_point!("order::terminal");
        // 5. The email. Notification being away does not change the order: the email follows when it is back.
        match self.send_email(&order, user.as_ref()).await {
            Ok(()) => {
                fail::fail_point!("order::email_handed_over");
                recovery::forget(&self.pool, order.id).await?;
            }
            Err(error) => tracing::warn!(order = order.id.0, %error, "the email will follow"),
        }
        Ok(order)
    }

    /// `GET /billing/user/{userId}`
    pub(crate) async fn find_user(&self, user: UserId) -> Result<Option<User>, PeerError> {
        let answer = self.billing.ask(Call::get(format!("/billing/user/{user}"))).await?;
        Ok(answer.json().ok().filter(|_| answer.status == StatusCode::OK))
    }

    /// `POST /billing/withdraw/{userId}`, keyed by the order's request: however often it is asked, billing decides once.
    async fn withdraw(&self, order: &Order) -> Result<Settlement, Unfinished> {
        let body = OrderWithdrawRequest { amount: order.price, order_id: Some(order.id) };
        let call = Call::post(format!("/billing/withdraw/{}", order.user_id), &body)
            .header(IDEMPOTENCY_KEY, IdempotencyKey::from(order.request_id).header_value())
            .retry(Retry::Yes);
        match self.billing.ask(call).await?.status {
            StatusCode::OK => Ok(Settlement::Paid),
            StatusCode::PRECONDITION_FAILED => Ok(Settlement::Rejected(Refusal::InsufficientFunds)),
            StatusCode::NOT_FOUND => Ok(Settlement::Rejected(Refusal::AccountNotFound)),
            status => Err(Unfinished::Unexpected { peer: self.billing.name(), status }),
        }
    }

    async fn settle(&self, order: Order, settlement: Settlement) -> Result<Order, Unfinished> {
        let pool = self.pool.clone();
        Ok(uninterrupted(async move {
            let mut conn = pool.acquire().await?;
            match store::order::settle(&mut conn, order.id, settlement).await? {
                Some(settled) => Ok(settled),
                // Somebody was faster: a repeat of the request, or recovery. Billing told both of them the same.
                None => Ok(store::order::find(&mut conn, order.id).await?.unwrap_or(order)),
            }
        })
        .await
        .map_err(|error: store::StoreError| error)?)
    }

    /// `POST /notification/email/{userId}`, keyed by the order's request; the order itself is a second key.
    async fn send_email(&self, order: &Order, user: Option<&User>) -> Result<(), Unfinished> {
        let (Some(settlement), Some(user)) = (order.settlement(), user) else {
            return Ok(());
        };
        let Some(OrderEmail { title, message }) = OrderEmail::about(order.id, settlement) else {
            return Ok(());
        };
        let body = OrderEmailRequest {
            email: user.email.parse().expect("billing stores addresses it has parsed"),
            title: title.parse().expect("a title of ours"),
            message: message.parse().expect("a text of ours"),
            order_id: Some(order.id),
        };
        let call = Call::post(format!("/notification/email/{}", order.user_id), &body)
            .header(IDEMPOTENCY_KEY, IdempotencyKey::from(order.request_id).header_value())
            .retry(Retry::Yes);
        match self.notification.ask(call).await?.status {
            StatusCode::ACCEPTED => Ok(()),
            status => Err(Unfinished::Unexpected { peer: self.notification.name(), status }),
        }
    }

    /// The answer to a repeat of a finished request, which needs nobody but this service.
    async fn known_outcome(
        &self,
        request_id: RequestId,
        request: &CreateOrderRequest,
    ) -> Result<Option<Response>, ApiError> {
        let pool = self.pool.clone();
        let order = uninterrupted(async move {
            store::order::find_by_request(&mut *pool.acquire().await?, request_id).await
        });
        match order.await? {
            Some(order) if order.user_id != request.user_id || order.price != request.price => {
                Err(ApiError::KeyReused)
            }
            Some(order) if order.settlement().is_some() => outcome(&order).map(Some),
            Some(_) => Ok(Some(accepted(request_id, "respond-async"))),
            None => Ok(None),
        }
    }
}

/// 201 for a paid order; a problem that carries the order's id for a rejected one.
fn outcome(order: &Order) -> Result<Response, ApiError> {
    match order.settlement() {
        Some(Settlement::Rejected(refusal)) => Err(ApiError::Withdrawal(refusal, Some(order.id))),
        Some(Settlement::Paid) => {
            let location = [(header::LOCATION, format!("/orders/{}", order.id))];
            let created = OrderCreated { order_id: order.id };
            Ok((StatusCode::CREATED, location, axum::Json(created)).into_response())
        }
        None => Ok(accepted(order.request_id, "respond-async")),
    }
}

/// 202: the order cannot be lost, and this is where its outcome will be.
fn accepted(request_id: RequestId, applied: &str) -> Response {
    let headers = [
        (header::LOCATION, format!("/orders/requests/{request_id}")),
        (header::RETRY_AFTER, "1".to_owned()),
        (header::HeaderName::from_static("preference-applied"), applied.to_owned()),
    ];
    (StatusCode::ACCEPTED, headers, axum::Json(RequestAccepted { request_id })).into_response()
}

/// Runs the order service until it is told to stop.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<()> {
    let telemetry = telemetry::init("order", &settings.telemetry)?;
    let listener = web::bind(settings.server.listen).await?;
    let shutdown = web::shutdown_on_signal()?;
    let pool = settings.database.pool("order")?;
    store::order::migrate(&pool).await?;
    recovery::migrate(&pool).await?;

    let client = Client::new(settings.client)?;
    let orders = Orders {
        pool: pool.clone(),
        billing: client.peer("billing", settings.billing_url),
        notification: client.peer("notification", settings.notification_url),
        recovery: settings.recovery,
    };
    let recovering = tokio::spawn(recovery::run(orders.clone(), shutdown.clone()));
    let routes = routes().with_state(orders).merge(api::order::routes().with_state(pool.clone()));
    let server = ServerSettings {
        checks: vec![api::database_check(&pool)],
        metrics: Arc::new(move || telemetry.render_metrics()),
        deadline: api::request_deadline,
    };
    web::serve(listener, docs::served(routes), server, shutdown).await?;
    recovering.await?;
    pool.close().await;
    Ok(())
}
