//! The order service with fat events: hears of an order, asks for its money, hears of the money.
//!
//! ```text
//! OrderCreationRequested -> pending -> WithdrawalRequested
//! WithdrawalProcessed -> paid | rejected -> OrderProcessed
//! UserCreationSucceeded | UserUpdated -> replica
//! ```
//!
//! Each line is one transaction: the message's id, its effect and what is said about it. Nobody is asked; what the service has
//! to know about users it has heard of (see [`replica`]).

use std::collections::HashMap;

use api::docs;
use clap::Args;
use domain::{Money, OrderId, Refused, RequestId, Settlement};
use messaging::{Cause, Consumer, Event, Handler, Known, Outbox, Outgoing, Said};
use sqlx::postgres::PgConnection;
use store::Once;
use store::order::{NewOrder, Order};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use web::ServerSettings;

use crate::failure::Failure;
use crate::messages::{
    OrderCreationRequested, OrderProcessed, TYPES, WithdrawalProcessed, WithdrawalRequested,
};
use crate::replica::{self, Replica};

/// Settings of the order service.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    #[command(flatten)]
    server: web::ListenSettings,
    #[command(flatten)]
    database: store::DatabaseSettings,
    #[command(flatten)]
    kafka: messaging::KafkaSettings,
    #[command(flatten)]
    telemetry: telemetry::Settings,
}

messaging::consumes! {
    /// What the order service reacts to.
    pub(crate) enum Incoming of TYPES; { OrderCreationRequested, WithdrawalProcessed }
}

/// Orders, as a consumer of messages.
struct Orders;

impl Handler for Orders {
    type Incoming = Incoming;
    type Fact = ();
    type Error = Failure;

    /// Everything is in the message.
    async fn gather(&self, _: &Event<Incoming>) -> Result<(), Failure> {
        Ok(())
    }

    /// By what they are: messages of both kinds are never about the same order, since one is asked for after the other's commit.
    async fn handle(
        &self,
        tx: &mut PgConnection,
        batch: &[&Known<Incoming, ()>],
        said: &mut Said,
    ) -> Result<(), Failure> {
        let (mut requested, mut processed) = (Vec::new(), Vec::new());
        for Known { event, cause, fact: () } in batch {
            match &event.message {
                Incoming::OrderCreationRequested(asked) => requested.push((cause, asked)),
                Incoming::WithdrawalProcessed(outcome) => processed.push((cause, outcome)),
            }
        }
        on_orders_requested(tx, &requested, said).await?;
        on_withdrawals_processed(tx, &processed, said).await
    }
}

/// Stores the orders and asks for their money. Whether there is such a user is for billing to say: the replica may not have
/// heard of one who has just registered.
async fn on_orders_requested(
    tx: &mut PgConnection,
    requested: &[(&Cause, &OrderCreationRequested)],
    said: &mut Said,
) -> Result<(), Failure> {
    if requested.is_empty() {
        return Ok(());
    }
    let versions = replica::versions(tx, requested.iter().map(|(_, asked)| asked.user_id)).await?;
    let new: Vec<NewOrder> = requested
        .iter()
        .map(|(cause, asked)| NewOrder {
            request: RequestId(cause.correlation_id),
            user: asked.user_id,
            price: asked.price.0,
            user_version: versions.get(&asked.user_id).copied(),
        })
        .collect();
    for ((cause, _), stored) in requested.iter().zip(store::order::create_all(tx, &new).await?) {
        let message = match stored {
            Once::Done(order) => Some(withdrawal_requested(&order)),
            // A repeat: what has ended is announced again. The end of a pending order is still to come.
            Once::Repeated(order) => order_processed(&order),
            // The same request with other content: whoever waits for its outcome sees what was asked first.
            Once::Reused => {
                let first = store::order::find_by_request(tx, RequestId(cause.correlation_id)).await?;
                first.as_ref().and_then(order_processed)
            }
        };
        said.add(cause, message);
    }
    Ok(())
}

/// Billing has decided: paid or rejected, for good.
async fn on_withdrawals_processed(
    tx: &mut PgConnection,
    processed: &[(&Cause, &WithdrawalProcessed)],
    said: &mut Said,
) -> Result<(), Failure> {
    let decided: HashMap<OrderId, Settlement> =
        processed.iter().map(|(_, processed)| (processed.order_id, settlement(processed))).collect();
    let mut settled = store::order::settle_all(tx, &decided.into_iter().collect::<Vec<_>>()).await?;
    for (cause, processed) in processed {
        match settled.remove(&processed.order_id) {
            Some(order) if order.settlement() == Some(settlement(processed)) => {
                said.add(cause, order_processed(&order));
            }
            // Billing said it before, under another id.
            known => agrees(tx, known, processed).await?,
        }
    }
    Ok(())
}

/// What was said again must be what was said before.
async fn agrees(
    tx: &mut PgConnection,
    known: Option<Order>,
    processed: &WithdrawalProcessed,
) -> Result<(), Failure> {
    let order_id = processed.order_id;
    let known = match known {
        Some(order) => Some(order),
        None => store::order::find(tx, order_id).await?,
    };
    match known {
        Some(order) if order.settlement() == Some(settlement(processed)) => Ok(()),
        Some(order) => Err(Failure::Impossible(format!("order {order_id} is {:?} already", order.status))),
        None => Err(Failure::Impossible(format!("there is no order {order_id}"))),
    }
}

fn settlement(processed: &WithdrawalProcessed) -> Settlement {
    match &processed.error {
        None => Settlement::Paid,
        Some(refused) => Settlement::Rejected(refused.code),
    }
}

fn withdrawal_requested(order: &Order) -> Outgoing {
    let Order { id, user_id, price, version, .. } = *order;
    let message = WithdrawalRequested { user_id, order_id: id, price: Money(price) };
    Outgoing::new(user_id, format_args!("order/{id}"), &message).version(version)
}

/// The end of an order; `None` while it is pending.
fn order_processed(order: &Order) -> Option<Outgoing> {
    let Order { id, user_id, price, status, version, .. } = *order;
    let error = match order.settlement()? {
        Settlement::Paid => None,
        Settlement::Rejected(refusal) => Some(Refused::from(refusal)),
    };
    let message = OrderProcessed { user_id, order_id: id, price: Money(price), status, error };
    Some(Outgoing::new(user_id, format_args!("order/{id}"), &message).version(version))
}

/// The routes that every style shares; this style has no others: orders come as messages.
pub(crate) fn routes() -> OpenApiRouter<store::Pool> {
    docs::documented("event-collab", "order", "Owns orders.").merge(api::order::routes())
}

/// Runs the order service until it is told to stop.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<()> {
    let telemetry = telemetry::init("order", &settings.telemetry)?;
    let listener = web::bind(settings.server.listen).await?;
    let shutdown = web::shutdown_on_signal()?;
    let pool = settings.database.pool("order")?;
    store::order::migrate(&pool).await?;
    store::migrate(&pool, &messaging::migrations()).await?;
    replica::migrate(&pool).await?;

    let outbox = Outbox::new("order", pool.clone(), &settings.kafka);
    let users = Consumer::new("order-users", Replica { emails: None }, outbox.clone())?;
    let users = web::spawn_worker(users.run(shutdown.clone()), shutdown.clone());
    let orders = Consumer::new("order", Orders, outbox.clone())?;
    let orders = web::spawn_worker(orders.run(shutdown.clone()), shutdown.clone());
    // After the consumers: what they have said last is still to be published.
    let stop_relay = CancellationToken::new();
    let relay = web::spawn_worker(outbox.relay(stop_relay.clone()), shutdown.clone());
    let server = ServerSettings {
        listen: settings.server,
        checks: vec![api::database_check(&pool)],
        metrics: telemetry.metrics(),
        deadline: api::request_deadline,
        callers: web::Callers::Services,
    };
    web::serve(listener, docs::served(routes().with_state(pool.clone())), server, shutdown).await;
    users.await??;
    orders.await??;
    stop_relay.cancel();
    relay.await??;
    pool.close();
    Ok(())
}
