//! The order service in the gRPC style: the orchestrator.
//!
//! ```text
//! GetUser (billing) -> pending -> Withdraw (billing) -> paid | rejected -> SendEmail (notification) -> answer
//! ```
//!
//! It can die between any two of these. So the pending order is committed, with the key of its withdrawal, before billing is
//! asked for money; every later step can be repeated without a second effect; and what is not finished is written down
//! (see [`orchestration`]).

use std::time::Duration;

use api::ApiError;
use api::operations::order as operations;
use api::types::User;
use clap::Args;
use domain::{OrderEmail, OrderId, RequestId, Settlement, UserId};
use orchestration::{Asked, Flow, FlowError, RecoverySettings, Unfinished, known_order, settled_before};
use rpc::{ChannelSettings, Client, Method, Refusal, RpcSettings, Target};
use rpc_contract::billing::BillingServiceClient;
use rpc_contract::notification::NotificationServiceClient;
use rpc_contract::order::{
    AcceptedOrder, CreateOrderRequest, CreateOrderResponse, GetOrderByRequestRequest,
    GetOrderByRequestResponse, GetOrderRequest, GetOrderResponse, ListOrdersRequest, ListOrdersResponse,
    OrderService, Outcome, PaidOrder, order_service,
};
use rpc_contract::{DESCRIPTORS, refused, request_id};
use service::{Service, ServiceSettings};
use store::order::Order;
use store::{StoreError, chain};
use tokio::time::{Instant, timeout_at};

use crate::calls::{CallError, Calls};

/// Settings of the order service.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    #[command(flatten)]
    service: ServiceSettings,
    #[command(flatten)]
    rpc: RpcSettings,
    #[command(flatten)]
    database: store::DatabaseSettings,
    #[command(flatten)]
    channel: ChannelSettings,
    #[command(flatten)]
    recovery: RecoverySettings,
    /// Where billing is, such as `http://billing:8080`: several addresses with commas in between, or a name that stands for several.
    #[arg(long, env = "BILLING_URL")]
    billing_url: Target,
    /// Where notification is, such as `http://notification:8080`.
    #[arg(long, env = "NOTIFICATION_URL")]
    notification_url: Target,
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

impl OrderService for Orders {
    /// Creates an order and has it paid.
    async fn create_order(&self, request: CreateOrderRequest) -> Result<CreateOrderResponse, Refusal> {
        let id = request_id(&request.request_id)?;
        let (asked, prefer) = request.asked()?;
        let answer_by = Instant::now() + prefer.wait();

        // 1. Who orders? Nothing is written yet: if billing is away, the order is refused and nothing has happened.
        let user = match self.find_user_before(answer_by, asked.user_id).await {
            Ok(user) => user,
            Err(error) => {
                let pool = self.unfinished.pool();
                let known = known_order(pool, id, &asked, prefer.respond_async, answer_by).await;
                return known.map_err(refused)?.map_or(Err(refused(error)), |order| outcome(&order));
            }
        };
        // 2. The order is pending. From here on it exists, and it ends, whoever hangs up or dies: 3. to 5. run in a task of
        // their own, which outlives this call.
        let (flow, list) = (self.clone(), &self.unfinished);
        let begun = list.begin(id, asked, |order| async move { flow.finish(order, user).await });
        let finishing = begun.await.map_err(refused)?;
        if prefer.respond_async {
            return Ok(accepted(id));
        }
        let order = match timeout_at(answer_by, finishing).await {
            Ok(Ok(Ok(order))) => Some(order),
            // A step failed, and its task has logged why; or it takes too long. That does not mean that there is no outcome:
            // the order may be settled and only its email be late, or recovery ask again in time.
            Ok(_) | Err(_) => settled_before(list.pool(), answer_by, id).await,
        };
        order.map_or_else(|| Ok(accepted(id)), |order| outcome(&order))
    }

    async fn get_order(&self, request: GetOrderRequest) -> Result<GetOrderResponse, Refusal> {
        let order = operations::find_order(self.unfinished.pool(), OrderId(request.order_id));
        Ok(GetOrderResponse { order: Some(order.await.map_err(refused)?.into()) })
    }

    async fn get_order_by_request(
        &self,
        request: GetOrderByRequestRequest,
    ) -> Result<GetOrderByRequestResponse, Refusal> {
        let settled = operations::find_settled(self.unfinished.pool(), request_id(&request.request_id)?);
        Ok(GetOrderByRequestResponse { order: settled.await.map_err(refused)?.map(Into::into) })
    }

    async fn list_orders(&self, request: ListOrdersRequest) -> Result<ListOrdersResponse, Refusal> {
        let page = operations::list_orders(self.unfinished.pool(), request.asked()?);
        Ok(page.await.map_err(refused)?.into())
    }
}

/// A paid order; a refusal that carries the order's id for a rejected one; `accepted` for a pending one.
fn outcome(order: &Order) -> Result<CreateOrderResponse, Refusal> {
    match order.settlement() {
        Some(Settlement::Paid) => Ok(told(Outcome::Paid(PaidOrder { order_id: order.id.0 }))),
        Some(Settlement::Rejected(refusal)) => Err(refused(ApiError::Withdrawal(refusal, Some(order.id)))),
        None => Ok(accepted(order.request_id)),
    }
}

/// The order cannot be lost, and its outcome can be asked for.
fn accepted(request: RequestId) -> CreateOrderResponse {
    told(Outcome::Accepted(AcceptedOrder { request_id: request.to_string() }))
}

fn told(outcome: Outcome) -> CreateOrderResponse {
    CreateOrderResponse { outcome: Some(outcome) }
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

/// How long a call may take: an order as long as a client may wait.
fn longest(method: &Method) -> Duration {
    match method.full_name() {
        "order.v1.OrderService/CreateOrder" => api::LONGEST_DEADLINE,
        _ => api::REQUEST_DEADLINE,
    }
}

/// Runs the order service until it is told to stop.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<()> {
    let mut service = Service::start("order", settings.service).await?;
    let tables = [store::order::migrations(), orchestration::migrations()];
    let pool = service.database("order", &settings.database, &tables).await?;

    let client = Client::new(settings.channel);
    let calls = Calls {
        billing: BillingServiceClient::new(client.channel("billing", settings.billing_url)),
        notification: NotificationServiceClient::new(
            client.channel("notification", settings.notification_url),
        ),
    };
    let unfinished = Unfinished::new(pool, settings.recovery);
    let orders = Orders { unfinished: unfinished.clone(), calls };
    service.while_serving(|stop| orchestration::recover_until(stop, orders.clone(), unfinished.clone()));
    // Requests are answered by then; what was answered with 202 is still on its way.
    service.to_the_end(|stop| unfinished.finish_running(stop));
    service.serve_rpc(vec![order_service(orders)], settings.rpc, DESCRIPTORS, longest).await
}
