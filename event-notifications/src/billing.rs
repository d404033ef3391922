//! Billing with thin events: hears what is wanted, decides, remembers, and tells that it has.
//!
//! ```text
//! UserCreationRequested -> user, account -> UserCreationProcessed
//! DepositRequested -> balance -> DepositProcessed
//! WithdrawalRequested -> GET order (order) -> balance -> WithdrawalProcessed
//! PUT profile -> UserUpdated
//! ```

use std::mem::discriminant;

use api::docs;
use api::messages::{DepositError, UserCreationError};
use api::operations::billing::update_profile_and;
use api::types::Order;
use api::{ApiError, Deliverable, billing as shared};
use axum::extract::State;
use axum::response::Response;
use axum::routing::put;
use clap::Args;
use domain::{Amount, Money, OrderId, Profile, Refused, RequestId, UserId};
use http::HeaderMap;
use messaging::{Cause, Event, Handler, Known, Outbox, Outgoing, Said};
use service::{ConsumerSettings, Failure, Service};
use sqlx::postgres::PgConnection;
use store::billing::Deposit;
use utoipa_axum::router::OpenApiRouter;
use web::{Client, Path, Peer, RequestContext};

use crate::calls;
use crate::messages::{
    DepositProcessed, DepositRequested, TYPES, UserCreationProcessed, UserCreationRequested, UserUpdated,
    WithdrawalProcessed, WithdrawalRequested,
};

/// Settings of billing.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    #[command(flatten)]
    service: ConsumerSettings,
    #[command(flatten)]
    client: web::ClientSettings,
    /// The address of the order service, such as `http://order:8080`.
    #[arg(long, env = "ORDER_URL")]
    order_url: url::Url,
}

messaging::consumes! {
    /// What billing reacts to.
    pub(crate) enum Incoming of TYPES; { UserCreationRequested, DepositRequested, WithdrawalRequested }
}

/// Users and accounts, as a consumer of messages.
struct Billing {
    order: Peer,
}

impl Handler for Billing {
    type Incoming = Incoming;
    /// The order that a withdrawal is for.
    type Fact = Option<Order>;
    type Error = Failure;

    async fn gather(&self, event: &Event<Incoming>) -> Result<Option<Order>, Failure> {
        match &event.message {
            Incoming::WithdrawalRequested(asked) => {
                calls::find_order(&self.order, asked.order_id, event).await.map(Some)
            }
            Incoming::UserCreationRequested(_) | Incoming::DepositRequested(_) => Ok(None),
        }
    }

    /// What was said about one user stays in its order: messages of one kind are handled together as far as they follow each
    /// other.
    async fn handle(
        &self,
        tx: &mut PgConnection,
        batch: &[&Known<Incoming, Option<Order>>],
        said: &mut Said,
    ) -> Result<(), Failure> {
        let kind = |known: &Known<Incoming, Option<Order>>| discriminant(&known.event.message);
        for run in batch.chunk_by(|one, next| kind(one) == kind(next)) {
            let mut withdrawals = Vec::new();
            for Known { event, cause, fact } in run {
                let request = RequestId(cause.correlation_id);
                match &event.message {
                    Incoming::UserCreationRequested(asked) => {
                        said.add(cause, on_user_creation_requested(tx, request, asked).await?);
                    }
                    Incoming::DepositRequested(asked) => {
                        said.add(cause, on_deposit_requested(tx, request, asked).await?);
                    }
                    Incoming::WithdrawalRequested(asked) => {
                        let order = fact.as_ref().ok_or_else(|| {
                            Failure::Impossible(format!("order {} was not asked for", asked.order_id))
                        })?;
                        withdrawals.push((cause, order));
                    }
                }
            }
            on_withdrawals_requested(tx, &withdrawals, said).await?;
        }
        Ok(())
    }
}

/// Registers a user and opens an account that holds 0.
async fn on_user_creation_requested(
    tx: &mut PgConnection,
    request: RequestId,
    asked: &UserCreationRequested,
) -> Result<Outgoing, Failure> {
    let UserCreationRequested { registration, password_hash } = asked;
    let outcome = store::billing::register(tx, request, registration, password_hash).await?;
    Ok(match UserCreationError::of(&outcome) {
        Ok(user) => {
            let processed = UserCreationProcessed { user_id: Some(user), error: None };
            about_user(user, &processed).version(1)
        }
        Err(error) => {
            let username = registration.username.as_str();
            let processed = UserCreationProcessed { user_id: None, error: Some(error.into()) };
            Outgoing::new(username, format_args!("registration/{username}"), &processed)
        }
    })
}

/// Puts money on an account.
async fn on_deposit_requested(
    tx: &mut PgConnection,
    request: RequestId,
    asked: &DepositRequested,
) -> Result<Outgoing, Failure> {
    let DepositRequested { user_id, money_amount: Money(amount) } = *asked;
    let outcome = DepositError::of(&store::billing::deposit(tx, request, Deposit { user_id, amount }).await?);
    let error = outcome.err().map(Refused::from);
    Ok(about_user(user_id, &DepositProcessed { user_id, error }))
}

/// Takes the money for orders, where it is there.
async fn on_withdrawals_requested(
    tx: &mut PgConnection,
    requested: &[(&Cause, &Order)],
    said: &mut Said,
) -> Result<(), Failure> {
    if requested.is_empty() {
        return Ok(());
    }
    fail::fail_point!("billing::withdrawal_received");
    let asked: Vec<(RequestId, OrderId, UserId, Amount)> = requested
        .iter()
        .map(|(cause, order)| (RequestId(cause.correlation_id), order.id, order.user_id, order.price))
        .collect();
    for ((cause, order), refused) in requested.iter().zip(store::billing::pay_orders(tx, &asked).await?) {
        let Order { id, user_id, .. } = **order;
        let message = WithdrawalProcessed { order_id: id, error: refused.map(Refused::from) };
        said.add(cause, Outgoing::new(user_id, format_args!("order/{id}"), &message));
    }
    Ok(())
}

fn about_user(user: UserId, message: &impl messaging::Message) -> Outgoing {
    Outgoing::new(user, format_args!("user/{user}"), message)
}

/// Replaces a user's profile, and tells whom it concerns.
pub(crate) async fn update_profile(
    State(outbox): State<Outbox>,
    Path(id): Path<UserId>,
    headers: HeaderMap,
    Deliverable(profile): Deliverable<Profile>,
) -> Result<Response, ApiError> {
    let (said, cause) = (outbox.clone(), Cause::request(RequestContext::current().uuid()));
    let updated = update_profile_and(outbox.pool(), id, shared::if_match(&headers)?, profile, {
        move |tx, user| {
            Box::pin(async move {
                let message = about_user(id, &UserUpdated { user_id: id }).version(user.version);
                Ok(said.append(tx, &cause, vec![message]).await?)
            })
        }
    });
    let user = updated.await?;
    outbox.wake();
    Ok(shared::with_etag(user))
}

/// The service's own route; what it is asked and answers is the same in every style.
pub(crate) fn routes() -> OpenApiRouter<Outbox> {
    docs::documented("event-notifications", "billing", "Owns users and accounts.")
        .routes(shared::profile_route(put(update_profile)))
}

/// Runs billing until it is told to stop.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<()> {
    let tables = [store::billing::migrations()];
    let (mut service, outbox) = Service::start_with_messages("billing", settings.service, tables).await?;
    let order = Client::new(settings.client)?.peer("order", settings.order_url);
    service.consume("billing", Billing { order }, &outbox)?;
    service.publish(&outbox);
    let shared = shared::routes().with_state(outbox.pool().clone());
    service.serve(routes().with_state(outbox).merge(shared)).await
}
