//! The order service with thin events: hears of an order, asks billing who orders, asks for the money, hears of it.
//!
//! ```text
//! OrderCreationRequested -> GET user (billing) -> pending -> WithdrawalRequested
//! WithdrawalProcessed -> paid | rejected -> OrderProcessed
//! ```
//!
//! Each line is one transaction: the message's id, its effect and what is said about it. The GET comes before the transaction.

use std::collections::HashMap;

use api::docs;
use api::types::User;
use clap::Args;
use domain::{OrderId, Refusal, RequestId, Settlement};
use messaging::{Cause, Consumer, Event, Handler, Known, Outbox, Outgoing, Said};
use sqlx::postgres::PgConnection;
use store::Once;
use store::order::{NewOrder, Order};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use web::{Client, Peer, ServerSettings};

use crate::calls;
use crate::failure::Failure;
use crate::messages::{
    OrderCreationRequested, OrderProcessed, TYPES, WithdrawalProcessed, WithdrawalRequested,
};

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
    client: web::ClientSettings,
    /// Where billing is.
    #[arg(long, env = "BILLING_URL")]
    billing_url: url::Url,
    #[command(flatten)]
    telemetry: telemetry::Settings,
}

messaging::consumes! {
    /// What the order service reacts to.
    pub(crate) enum Incoming of TYPES; { OrderCreationRequested, WithdrawalProcessed }
}

/// Orders, as a consumer of messages.
struct Orders {
    billing: Peer,
}

impl Handler for Orders {
    type Incoming = Incoming;
    /// The user who orders, if there is one.
    type Fact = Option<User>;
    type Error = Failure;

    async fn gather(&self, event: &Event<Incoming>) -> Result<Option<User>, Failure> {
        match &event.message {
            Incoming::OrderCreationRequested(asked) => {
                calls::find_user(&self.billing, asked.user_id, event).await
            }
            Incoming::WithdrawalProcessed(_) => Ok(None),
        }
    }

    /// By what they are: messages of both kinds are never about the same order, since one is asked for after the other's commit.
    async fn handle(
        &self,
        tx: &mut PgConnection,
        batch: &[&Known<Incoming, Option<User>>],
        said: &mut Said,
    ) -> Result<(), Failure> {
        let (mut requested, mut processed) = (Vec::new(), Vec::new());
        for Known { event, cause, fact: user } in batch {
            match &event.message {
                Incoming::OrderCreationRequested(asked) => requested.push((cause, asked, user.as_ref())),
                Incoming::WithdrawalProcessed(outcome) => processed.push((cause, outcome)),
            }
        }
        on_orders_requested(tx, &requested, said).await?;
        on_withdrawals_processed(tx, &processed, said).await
    }
}

/// Stores the orders and asks for their money. An order of an unknown user ends here.
async fn on_orders_requested(
    tx: &mut PgConnection,
    requested: &[(&Cause, &OrderCreationRequested, Option<&User>)],
    said: &mut Said,
) -> Result<(), Failure> {
    let new: Vec<NewOrder> = requested
        .iter()
        .map(|(cause, asked, _)| NewOrder {
            request: RequestId(cause.correlation_id),
            user: asked.user_id,
            price: asked.price.0,
            user_version: None,
        })
        .collect();
    for ((cause, _, user), stored) in requested.iter().zip(store::order::create_all(tx, &new).await?) {
        let message = match stored {
            Once::Done(order) if user.is_some() => Some(withdrawal_requested(&order)),
            Once::Done(order) => {
                let unknown = Settlement::Rejected(Refusal::AccountNotFound);
                store::order::settle(tx, order.id, unknown).await?.as_ref().and_then(order_processed)
            }
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
    let Order { id, user_id, version, .. } = *order;
    let message = WithdrawalRequested { order_id: id };
    Outgoing::new(user_id, format_args!("order/{id}"), &message).version(version)
}

/// The end of an order; `None` while it is pending.
fn order_processed(order: &Order) -> Option<Outgoing> {
    let Order { id, user_id, version, .. } = *order;
    order.settlement()?;
    let message = OrderProcessed { order_id: id };
    Some(Outgoing::new(user_id, format_args!("order/{id}"), &message).version(version))
}

/// The routes that every style shares; this style has no others: orders come as messages.
pub(crate) fn routes() -> OpenApiRouter<store::Pool> {
    docs::documented("event-notifications", "order", "Owns orders.").merge(api::order::routes())
}

/// Runs the order service until it is told to stop.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<()> {
    let telemetry = telemetry::init("order", &settings.telemetry)?;
    let listener = web::bind(settings.server.listen).await?;
    let shutdown = web::shutdown_on_signal()?;
    let pool = settings.database.pool("order")?;
    store::order::migrate(&pool).await?;
    store::migrate(&pool, &messaging::migrations()).await?;

    let outbox = Outbox::new("order", pool.clone(), &settings.kafka);
    let orders = Orders { billing: Client::new(settings.client)?.peer("billing", settings.billing_url) };
    let orders = Consumer::new("order", orders, outbox.clone())?;
    let orders = web::spawn_worker(orders.run(shutdown.clone()), shutdown.clone());
    // After the consumer: what it has said last is still to be published.
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
    orders.await??;
    stop_relay.cancel();
    relay.await??;
    pool.close();
    Ok(())
}
