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

use api::docs;
use domain::{Money, OrderId, RequestId, Settlement};
use messaging::{Cause, Handler, Known, Outgoing, Said};
use service::{ConsumerSettings, Failure, Service};
use sqlx::postgres::PgConnection;
use store::Once;
use store::order::{NewOrder, Order};
use utoipa_axum::router::OpenApiRouter;

use crate::messages::{
    OrderCreationRequested, OrderProcessed, TYPES, WithdrawalProcessed, WithdrawalRequested,
};
use crate::replica;
use crate::replication::Replica;

messaging::consumes! {
    /// What the order service reacts to.
    pub(crate) enum Incoming of TYPES; { OrderCreationRequested, WithdrawalProcessed }
}

/// Orders, as a consumer of messages.
struct Orders;

impl Handler for Orders {
    type Incoming = Incoming;
    /// Everything is in the message.
    type Fact = ();
    type Error = Failure;

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
    let told = |told: &WithdrawalProcessed| (told.order_id, Settlement::told(told.error.as_ref()));
    let decided: Vec<(OrderId, Settlement)> =
        processed.iter().map(|(_, processed)| told(processed)).collect();
    let settled = store::order::settle_as_decided(tx, &decided).await?;
    for ((cause, _), order) in processed.iter().zip(settled) {
        said.add(cause, order.as_ref().and_then(order_processed));
    }
    Ok(())
}

fn withdrawal_requested(order: &Order) -> Outgoing {
    let Order { id, user_id, price, version, .. } = *order;
    let message = WithdrawalRequested { user_id, order_id: id, price: Money(price) };
    Outgoing::new(user_id, format_args!("order/{id}"), &message).version(version)
}

/// The end of an order; `None` while it is pending.
fn order_processed(order: &Order) -> Option<Outgoing> {
    let Order { id, user_id, price, status, version, .. } = *order;
    let error = order.settlement()?.refused();
    let message = OrderProcessed { user_id, order_id: id, price: Money(price), status, error };
    Some(Outgoing::new(user_id, format_args!("order/{id}"), &message).version(version))
}

/// The routes that every style shares; this style has no others: orders come as messages.
pub(crate) fn routes() -> OpenApiRouter<store::Pool> {
    docs::documented("event-collab", "order", "Owns orders.").merge(api::order::routes())
}

/// Runs the order service until it is told to stop.
pub(crate) async fn run(settings: ConsumerSettings) -> anyhow::Result<()> {
    let tables = [store::order::migrations(), replica::migrations()];
    let (mut service, outbox) = Service::start_with_messages("order", settings, tables).await?;
    service.consume("order-users", Replica { emails: None }, &outbox)?;
    service.consume("order", Orders, &outbox)?;
    service.publish(&outbox);
    service.serve(routes().with_state(outbox.pool().clone())).await
}
