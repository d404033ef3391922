//! Billing with fat events: hears what is wanted, decides, remembers, and tells everything about it.
//!
//! ```text
//! UserCreationRequested -> user, account -> UserCreationSucceeded | UserCreationFailed
//! DepositRequested -> balance -> DepositProcessed
//! WithdrawalRequested -> balance -> WithdrawalProcessed
//! PUT profile -> UserUpdated
//! ```

use std::mem::discriminant;

use api::docs;
use api::messages::{DepositError, UserCreationError};
use api::operations::billing::update_profile_and;
use api::{ApiError, Deliverable, billing as shared};
use axum::extract::State;
use axum::response::Response;
use axum::routing::put;
use domain::{Amount, Money, OrderId, Profile, Refused, RequestId, UserId};
use http::HeaderMap;
use messaging::{Cause, Handler, Known, Outbox, Outgoing, Said};
use service::{ConsumerSettings, Failure, Service};
use sqlx::postgres::PgConnection;
use store::billing::Deposit;
use utoipa_axum::router::OpenApiRouter;
use web::{Path, RequestContext};

use crate::messages::{
    DepositProcessed, DepositRequested, TYPES, UserCreationFailed, UserCreationRequested,
    UserCreationSucceeded, UserInfo, UserUpdated, WithdrawalProcessed, WithdrawalRequested, about_user,
};

messaging::consumes! {
    /// What billing reacts to.
    pub(crate) enum Incoming of TYPES; { UserCreationRequested, DepositRequested, WithdrawalRequested }
}

/// Users and accounts, as a consumer of messages.
struct Billing;

impl Handler for Billing {
    type Incoming = Incoming;
    /// Everything is in the message.
    type Fact = ();
    type Error = Failure;

    /// What was said about one user stays in its order: messages of one kind are handled together as far as they follow each
    /// other.
    async fn handle(
        &self,
        tx: &mut PgConnection,
        batch: &[&Known<Incoming, ()>],
        said: &mut Said,
    ) -> Result<(), Failure> {
        let kind = |known: &Known<Incoming, ()>| discriminant(&known.event.message);
        for run in batch.chunk_by(|one, next| kind(one) == kind(next)) {
            let mut withdrawals = Vec::new();
            for Known { event, cause, fact: () } in run {
                let request = RequestId(cause.correlation_id);
                match &event.message {
                    Incoming::UserCreationRequested(asked) => {
                        said.add(cause, on_user_creation_requested(tx, request, asked).await?);
                    }
                    Incoming::DepositRequested(asked) => {
                        said.add(cause, on_deposit_requested(tx, request, asked).await?);
                    }
                    Incoming::WithdrawalRequested(asked) => withdrawals.push((cause, asked)),
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
    match UserCreationError::of(&outcome) {
        Ok(user) => {
            let user = store::billing::lock_user(tx, user).await?;
            let user = user.ok_or_else(|| Failure::Impossible("a registered user is gone".to_owned()))?;
            let message = UserCreationSucceeded { user_info: UserInfo::of(&user)? };
            Ok(about_user(user.id, &message).version(user.version))
        }
        Err(error) => {
            let failed = UserCreationFailed { user_info: registration.clone(), error: error.into() };
            let username = registration.username.as_str();
            Ok(Outgoing::new(username, format_args!("registration/{username}"), &failed))
        }
    }
}

/// Puts money on an account.
async fn on_deposit_requested(
    tx: &mut PgConnection,
    request: RequestId,
    asked: &DepositRequested,
) -> Result<Outgoing, Failure> {
    let DepositRequested { user_id, money_amount: Money(amount) } = *asked;
    let outcome = DepositError::of(&store::billing::deposit(tx, request, Deposit { user_id, amount }).await?);
    let (balance, error) = match outcome {
        Ok(balance) => (Some(Money(balance)), None),
        Err(error) => (None, Some(Refused::from(error))),
    };
    Ok(about_user(user_id, &DepositProcessed { user_id, balance, error }))
}

/// Takes the money for orders, where it is there.
async fn on_withdrawals_requested(
    tx: &mut PgConnection,
    requested: &[(&Cause, &WithdrawalRequested)],
    said: &mut Said,
) -> Result<(), Failure> {
    if requested.is_empty() {
        return Ok(());
    }
    fail::fail_point!("billing::withdrawal_received");
    let asked: Vec<(RequestId, OrderId, UserId, Amount)> = requested
        .iter()
        .map(|(cause, asked)| (RequestId(cause.correlation_id), asked.order_id, asked.user_id, asked.price.0))
        .collect();
    for ((cause, asked), refused) in requested.iter().zip(store::billing::pay_orders(tx, &asked).await?) {
        let WithdrawalRequested { user_id, order_id, price } = **asked;
        let message = WithdrawalProcessed { user_id, order_id, price, error: refused.map(Refused::from) };
        said.add(cause, Outgoing::new(user_id, format_args!("order/{order_id}"), &message));
    }
    Ok(())
}

/// Replaces a user's profile, and tells everybody who keeps a replica of it.
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
                let message = UserUpdated { user_info: UserInfo::of(user)? };
                let message = about_user(id, &message).version(user.version);
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
    docs::documented("event-collab", "billing", "Owns users and accounts.")
        .routes(shared::profile_route(put(update_profile)))
}

/// Runs billing until it is told to stop.
pub(crate) async fn run(settings: ConsumerSettings) -> anyhow::Result<()> {
    let tables = [store::billing::migrations()];
    let (mut service, outbox) = Service::start_with_messages("billing", settings, tables).await?;
    service.consume("billing", Billing, &outbox)?;
    service.publish(&outbox);
    let shared = shared::routes().with_state(outbox.pool().clone());
    service.serve(routes().with_state(outbox).merge(shared)).await
}
