//! The order service with thin events: hears of an order, asks billing who orders, asks for the money, hears of it.
//!
//! ```text
//! OrderCreationRequested -> GET user (billing) -> pending -> WithdrawalRequested
//! WithdrawalProcessed -> paid | rejected -> OrderProcessed
//! ```
//!
//! Each line is one transaction: the message's id, its effect and what is said about it. The GET comes before the transaction.

use api::docs;
use api::types::User;
use clap::Args;
use domain::{OrderId, Refusal, RequestId, Settlement};
use messaging::{Cause, Event, Handler, Known, Outgoing, Said};
use service::{ConsumerSettings, Failure, Service};
use sqlx::postgres::PgConnection;
use store::Once;
use store::order::{NewOrder, Order};
use utoipa_axum::router::OpenApiRouter;
use web::{Client, Peer};

use crate::calls;
use crate::messages::{
    OrderCreationRequested, OrderProcessed, TYPES, WithdrawalProcessed, WithdrawalRequested,
};

/// Settings of the order service.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    #[command(flatten)]
    service: ConsumerSettings,
    #[command(flatten)]
    client: web::ClientSettings,
    /// The address of billing, such as `http://billing:8080`.
    #[arg(long, env = "BILLING_URL")]
    billing_url: url::Url,
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
    let tables = [store::order::migrations()];
    let (mut service, outbox) = Service::start_with_messages("order", settings.service, tables).await?;
    let billing = Client::new(settings.client)?.peer("billing", settings.billing_url);
    service.consume("order", Orders { billing }, &outbox)?;
    service.publish(&outbox);
    service.serve(routes().with_state(outbox.pool().clone())).await
}
