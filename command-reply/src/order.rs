//! The order service in the command/reply style: the orchestrator. It says what is to be done, hears what came of it, and keeps
//! where each order stands.
//!
//! ```text
//! POST order -> pending, saga, first command
//! reply -> the saga's next state; what that asks for; the order's end and its email
//! ```
//!
//! Each line is one transaction. What follows from what is in [`saga`](crate::saga).

use std::sync::Arc;
use std::time::Duration;

use api::types::CreateOrderRequest;
use api::{ApiError, IdempotencyKey, Prefer, asked, docs};
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use clap::Args;
use domain::{EventId, Operation, OrderId, Settlement};
use messaging::{Cause, Handler, Known, Outbox, Outcomes, Said};
use orchestration::{SagaSettings, settled_after_news};
use service::{ConsumerSettings, Failure, Service};
use sqlx::postgres::PgConnection;
use store::Once;
use store::order::{NewOrder, Order};
use tokio::time::Instant;
use utoipa_axum::router::OpenApiRouter;
use web::Json;

use crate::messages::{
    MoneyWithdrawn, TYPES, TicketConfirmed, TicketRefused, TicketReleased, TicketReserved,
    WithdrawalCancelled, WithdrawalRefused,
};
use crate::orders::{self, Saga};
use crate::saga::{Happened, State as Stands};

/// Settings of the order service.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    #[command(flatten)]
    service: ConsumerSettings,
    #[command(flatten)]
    saga: SagaSettings,
}

messaging::consumes! {
    /// What moves a saga: each reply is handled by one replica, as a member of a group.
    pub(crate) enum Incoming of TYPES; {
        TicketReserved, TicketRefused, TicketConfirmed, TicketReleased,
        MoneyWithdrawn, WithdrawalRefused, WithdrawalCancelled,
    }
}

messaging::consumes! {
    /// What may end an order: heard by every replica, for the clients that wait there.
    pub(crate) enum Ending of TYPES; { MoneyWithdrawn, WithdrawalRefused, WithdrawalCancelled, TicketReleased }
}

/// What the handlers need.
#[derive(Clone)]
pub(crate) struct Orders {
    pub(crate) outbox: Outbox,
    deadline: Duration,
    endings: Arc<Outcomes<Ending>>,
}

/// The service's own route of this style; bookings have others.
pub(crate) fn routes() -> OpenApiRouter<Orders> {
    docs::documented("command-reply", "order", "Owns orders, and orchestrates.")
        .merge(asked::order_route(post(create_order)))
}

/// Creates an order and has it paid.
async fn create_order(
    State(orders): State<Orders>,
    key: IdempotencyKey,
    prefer: Prefer,
    Json(CreateOrderRequest { user_id, price }): Json<CreateOrderRequest>,
) -> Result<Response, ApiError> {
    let request = key.request_id(Operation::CreateOrder);
    let new = NewOrder { request, user: user_id, price, user_version: None };
    match orders.order(new, None, &prefer).await? {
        (order, Some(settlement)) => api::order::settled(order, settlement),
        (_, None) => Ok(api::order::accepted(request, &prefer)),
    }
}

impl Orders {
    /// Begins an order, or joins one that was begun under the same key, and waits for its end as long as the client does.
    pub(crate) async fn order(
        &self,
        new: NewOrder,
        event: Option<EventId>,
        prefer: &Prefer,
    ) -> Result<(OrderId, Option<Settlement>), ApiError> {
        let answer_by = Instant::now() + prefer.wait();
        // Before the first command is stored: its reply may come sooner than the word that it is committed.
        let news = self.endings.wait_for(new.request.0).news();
        let order = self.begin(new, event).await?;
        let settlement = order.settlement();
        if settlement.is_some() || prefer.respond_async {
            return Ok((order.id, settlement));
        }
        // A reply is heard here and handled by the replica that has its partition, at the same time. One that is not heard,
        // since the broker is away or this replica has just come, is handled all the same.
        Ok((order.id, settled_after_news(self.outbox.pool(), answer_by, order.id, news).await))
    }

    /// Stores the pending order, its saga and the first command, in one transaction: there is never one without the others.
    async fn begin(&self, new: NewOrder, event: Option<EventId>) -> Result<Order, ApiError> {
        let (deadline, cause) = (self.deadline, Cause::request(new.request.0));
        let stored = self.outbox.transaction(move |tx, said| {
            Box::pin(async move {
                let order = match store::order::create(tx, new).await? {
                    Once::Done(order) => order,
                    Once::Repeated(order) => {
                        let saga: Option<Saga> = store::saga::find(tx, order.id).await?;
                        let is_same = saga.is_some_and(|saga| saga.event_id == event);
                        return if is_same { Ok(order) } else { Err(ApiError::KeyReused) };
                    }
                    Once::Reused => return Err(ApiError::KeyReused),
                };
                let mut saga = Saga::new(&order, event, Stands::Withdrawing);
                orders::begin(&mut saga, &cause, said);
                store::saga::insert(tx, &saga, deadline).await?;
                Ok(order)
            })
        });
        stored.await
    }
}

/// Sagas, as a consumer of replies.
struct Replies;

impl Handler for Replies {
    type Incoming = Incoming;
    /// Everything is in the reply, or in the saga.
    type Fact = ();
    type Error = Failure;

    async fn handle(
        &self,
        tx: &mut PgConnection,
        batch: &[&Known<Incoming, ()>],
        said: &mut Said,
    ) -> Result<(), Failure> {
        let news: Vec<_> = batch.iter().map(|known| on_reply(&known.cause, &known.event.message)).collect();
        orders::advance(tx, &news, said).await
    }
}

/// Which order a reply is about, and what it says has happened to it.
fn on_reply<'a>(cause: &'a Cause, reply: &Incoming) -> (&'a Cause, OrderId, Happened) {
    let (order, happened) = match reply {
        Incoming::TicketReserved(reply) => (reply.order_id, Happened::TicketReserved(reply.ticket_id)),
        Incoming::TicketRefused(reply) => (reply.order_id, Happened::TicketRefused(reply.error.code)),
        Incoming::TicketConfirmed(reply) => (reply.order_id, Happened::TicketConfirmed),
        Incoming::TicketReleased(reply) => (reply.order_id, Happened::TicketReleased),
        Incoming::MoneyWithdrawn(reply) => (reply.order_id, Happened::MoneyWithdrawn(reply.contact.clone())),
        Incoming::WithdrawalRefused(reply) => {
            (reply.order_id, Happened::WithdrawalRefused(reply.error.code, reply.contact.clone()))
        }
        Incoming::WithdrawalCancelled(reply) => {
            (reply.order_id, Happened::WithdrawalCancelled(reply.contact.clone()))
        }
    };
    (cause, order, happened)
}

/// Runs the order service until it is told to stop.
pub(crate) async fn run(
    Settings { service, saga }: Settings,
    bookings: OpenApiRouter<Orders>,
) -> anyhow::Result<()> {
    let (tables, kafka) = ([store::order::migrations(), store::saga::migrations()], service.kafka.clone());
    let (mut service, outbox) = Service::start_with_messages("order", service, tables).await?;
    let endings = Outcomes::new();
    let reading = Arc::clone(&endings);
    // To the end: clients are still waiting when the server is told to stop.
    service.to_the_end(|stop| Arc::clone(&endings).read(kafka, stop));
    // Without it, orders are taken and decided all the same; their clients learn of it later.
    service.better_if("replies", "Kafka has not been reached yet", move || reading.is_reading());
    service.consume("order", Replies, &outbox)?;
    let sagas = outbox.clone();
    service.while_serving(|stop| saga.watch_deadlines(stop, move || orders::give_up_late(sagas.clone())));
    service.publish(&outbox);
    let pool = outbox.pool().clone();
    let orders = Orders { outbox, deadline: saga.deadline(), endings };
    let reads = api::order::routes().merge(api::bookings::reads()).with_state(pool);
    service.serve(routes().merge(bookings).with_state(orders).merge(reads)).await
}
