//! The order service in the RESTful style: the orchestrator.
//!
//! ```text
//! GET user (billing) -> pending -> POST withdrawal (billing) -> paid | rejected -> POST email (notification) -> answer
//! ```
//!
//! It can die between any two of these. So the pending order is committed, with the key of its withdrawal, before billing is
//! asked for money; every later step can be repeated without a second effect; and what is not finished is written down
//! (see [`recovery`]).

use api::billing::once;
use api::docs::{
    self, Accepted, BadRequest, Internal, KeyReused, NotFound, PreconditionFailed, TooLarge, Unavailable,
};
use api::types::{CreateOrderRequest, OrderCreated, User};
use api::{ApiError, IdempotencyKey, IdempotencyKeyHeader, Prefer, PreferHeader};
use axum::extract::State;
use axum::response::Response;
use clap::Args;
use domain::{Operation, OrderEmail, RequestId, Settlement};
use futures_util::FutureExt as _;
use store::order::{NewOrder, Order};
use store::{Pool, uninterrupted};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use web::{Client, Json, RequestContext, ServerSettings};

use crate::calls::{CallError, Calls};
use crate::recovery::{self, Finished, RecoverySettings};
use crate::waiting::outcome;

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
    pub(crate) pool: Pool,
    pub(crate) calls: Calls,
    pub(crate) recovery: RecoverySettings,
    /// The orders that recovery need not look at any more.
    pub(crate) finished: Finished,
    /// The orders that are being finished; a service that stops waits for them.
    running: TaskTracker,
}

/// The order exists, but a step of it is not done yet. Recovery goes on asking.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfinished {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the user of a paid order is not known to billing")]
    UserMissing,
    #[error(transparent)]
    Store(#[from] store::StoreError),
}

impl From<sqlx::Error> for Unfinished {
    fn from(error: sqlx::Error) -> Self {
        store::StoreError::from(error).into()
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
            return orders.known_outcome(request_id, &request, prefer, answer_by).await?.ok_or(error);
        }
    };
    // 2. The order is pending. From here on it exists, and it ends, whoever hangs up or dies: 3. to 5. run in a task of
    // their own, which outlives this handler.
    let finishing = orders.clone().begin(request_id, request, user).await?;
    if prefer.respond_async {
        return Ok(api::order::accepted(request_id, &prefer));
    }
    let order = match timeout_at(answer_by, finishing).await {
        Ok(Ok(Ok(order))) => Some(order),
        // A step failed, and its task has logged why; or it takes too long. That does not mean that there is no outcome: the
        // order may be settled and only its email be late, or recovery ask again in time.
        Ok(_) | Err(_) => orders.settled_before(answer_by, request_id).await,
    };
    match order {
        Some(order) => outcome(&order, &prefer),
        None => Ok(api::order::accepted(request_id, &prefer)),
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
        let CreateOrderRequest { user_id, price } = request;
        let new = NewOrder { request: request_id, user: user_id, price, user_version: None };
        let due_after = self.recovery.due_after();
        // Whoever hangs up between the two: what is stored is finished at once, and not by recovery.
        uninterrupted(async move {
            let stored = self.pool.transaction(move |tx| {
                Box::pin(async move {
                    let order = once(store::order::create(tx, new).await?)?;
                    if order.settlement().is_none() {
                        recovery::remember(tx, order.id, due_after).await?;
                    }
                    Ok::<_, ApiError>(order)
                })
            });
            let order = stored.await?;
            fail::fail_point!("order::pending");
            let running = self.running.clone();
            // Logged here, since nobody may wait for it any more.
            let finish = async move {
                let id = order.id;
                let outcome = self.finish(order, user).await;
                outcome.inspect_err(|error| tracing::warn!(order = id.0, %error, "left to recovery"))
            };
            Ok(running.spawn(context.scope(finish).in_current_span()))
        })
        .await
    }

    /// Steps 3 to 5, from pending to the end. What the client is told does not depend on the last one, though it waits for it:
    /// that is this style.
    async fn finish(&self, order: Order, user: Option<User>) -> Result<Order, Unfinished> {
        if order.settlement().is_some() {
            // A repeat. The first request takes care of the rest, or recovery does.
            return Ok(order);
        }
        let order = self.decide(order).await?;
        if let Err(error) = self.notify(&order, user).await {
            tracing::warn!(order = order.id.0, %error, "the email will follow");
        }
        Ok(order)
    }

    /// Steps 3 and 4. Safe to repeat after each of them, and recovery does just that.
    pub(crate) async fn decide(&self, order: Order) -> Result<Order, Unfinished> {
        if order.settlement().is_some() {
            return Ok(order);
        }
        // 3. Billing decides, also about somebody it did not know a moment ago, and remembers its decision: whoever asks
        // again is told the same.
        let settlement = self.calls.withdraw(&order).await?;
        fail::fail_point!("order::withdrawal_answered");
        // 4. Paid or rejected, for good.
        let order = self.settle(order, settlement).await?;
        fail::fail_point!("order::terminal");
        Ok(order)
    }

    /// Step 5, the email, and the order is finished. Notification being away does not change the order: the email follows
    /// when it is back.
    pub(crate) async fn notify(&self, order: &Order, user: Option<User>) -> Result<(), Unfinished> {
        let email = order.settlement().and_then(|settlement| OrderEmail::about(order.id, settlement));
        if let Some(email) = email {
            let user = match user {
                Some(user) => user,
                None => self.calls.find_user(order.user_id).await?.ok_or(Unfinished::UserMissing)?,
            };
            self.calls.send_email(order, email, user).await?;
        }
        fail::fail_point!("order::email_handed_over");
        self.finished.add(order.id);
        Ok(())
    }

    async fn settle(&self, order: Order, settlement: Settlement) -> Result<Order, Unfinished> {
        let settled = self.pool.run(move |conn| {
            Box::pin(async move {
                match store::order::settle(conn, order.id, settlement).await? {
                    Some(settled) => Ok::<_, Unfinished>(settled),
                    // Somebody was faster: a repeat of the request, or recovery. Billing told both of them the same.
                    None => Ok(store::order::find(conn, order.id).await?.unwrap_or(order)),
                }
            })
        });
        settled.await
    }
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
        calls: Calls {
            billing: client.peer("billing", settings.billing_url),
            notification: client.peer("notification", settings.notification_url),
        },
        recovery: settings.recovery,
        finished: Finished::default(),
        running: TaskTracker::new(),
    };
    let recovery = recovery::run(orders.clone(), shutdown.clone());
    let recovering = web::spawn_worker(recovery.map(Ok), shutdown.clone());
    let (running, longest) = (orders.running.clone(), settings.recovery.attempt_max());
    let finished = orders.finished.clone();
    let routes = routes().with_state(orders).merge(api::order::routes().with_state(pool.clone()));
    let server = ServerSettings {
        listen: settings.server,
        checks: vec![api::database_check(&pool)],
        metrics: telemetry.metrics(),
        deadline: api::request_deadline,
        callers: web::Callers::Services,
    };
    web::serve(listener, docs::served(routes), server, shutdown).await;
    recovering.await??;
    // Requests are answered; what was answered with 202 is still on its way.
    running.close();
    if tokio::time::timeout(longest, running.wait()).await.is_err() {
        tracing::warn!(orders = running.len(), "left to recovery");
    }
    if let Err(error) = finished.strike_off(&pool).await {
        tracing::warn!(%error, "finished orders are left to recovery");
    }
    pool.close();
    Ok(())
}
