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
use api::{ApiError, Deliverable, billing as shared};
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use axum::routing::put;
use clap::Args;
use domain::{Money, Operation, Profile, Refused, Registration, RequestId, UserId};
use http::HeaderMap;
use messaging::{Cause, Consumer, Event, Handler, Known, Outbox, Outgoing, Said};
use sqlx::postgres::PgConnection;
use store::Once;
use store::billing::{Deposit, User, Withdrawal};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;
use web::{Path, RequestContext, ServerSettings};

use crate::failure::Failure;
use crate::messages::{
    DepositProcessed, DepositRequested, TYPES, UserCreationFailed, UserCreationRequested,
    UserCreationSucceeded, UserInfo, UserUpdated, WithdrawalProcessed, WithdrawalRequested,
};
#[cfg(feature = "failpoints")]
use crate::mistakes;

/// Settings of billing.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    #[command(flatten)]
    server: web::ListenSettings,
    #[command(flatten)]
    database: store::DatabaseSettings,
    #[command(flatten)]
    kafka: messaging::KafkaSettings,
    #[command(flatten)]
    addresses: api::AddressSettings,
    #[command(flatten)]
    telemetry: telemetry::Settings,
}

messaging::consumes! {
    /// What billing reacts to.
    pub(crate) enum Incoming of TYPES; { UserCreationRequested, DepositRequested, WithdrawalRequested }
}

/// Users and accounts, as a consumer of messages.
struct Billing;

impl Handler for Billing {
    type Incoming = Incoming;
    type Fact = ();
    type Error = Failure;

    /// Everything is in the message.
    async fn gather(&self, _: &Event<Incoming>) -> Result<(), Failure> {
        Ok(())
    }

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
    match store::billing::register(tx, request, registration, password_hash).await? {
        Once::Done(Ok(user)) | Once::Repeated(Ok(user)) => {
            let user = store::billing::lock_user(tx, user).await?;
            let user = user.ok_or_else(|| Failure::Impossible("a registered user is gone".to_owned()))?;
            let user_info = user_info(user)?;
            let (user, version) = (user_info.user_id, user_info.version);
            Ok(about_user(user, &UserCreationSucceeded { user_info }).version(version))
        }
        Once::Done(Err(refusal)) | Once::Repeated(Err(refusal)) => {
            Ok(user_creation_failed(registration, refusal.into()))
        }
        Once::Reused => Ok(user_creation_failed(registration, UserCreationError::IdempotencyKeyReused)),
    }
}

/// Puts money on an account.
async fn on_deposit_requested(
    tx: &mut PgConnection,
    request: RequestId,
    asked: &DepositRequested,
) -> Result<Outgoing, Failure> {
    let DepositRequested { user_id, money_amount: Money(amount) } = *asked;
    let outcome = match store::billing::deposit(tx, request, Deposit { user_id, amount }).await? {
        Once::Done(outcome) | Once::Repeated(outcome) => outcome.map_err(DepositError::from),
        Once::Reused => Err(DepositError::IdempotencyKeyReused),
    };
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
    let wanted: Vec<(RequestId, Withdrawal)> = requested
        .iter()
        .map(|(cause, asked)| {
            let key = RequestId::derive(Operation::PayOrder, &cause.correlation_id.to_string());
            let WithdrawalRequested { user_id, order_id, price: Money(amount) } = **asked;
            (key, Withdrawal { user_id, amount, order_id: Some(order_id) })
        })
        .collect();
    for ((cause, asked), decided) in requested.iter().zip(store::billing::withdraw_all(tx, &wanted).await?) {
        let WithdrawalRequested { user_id, order_id, price } = **asked;
        let error = match decided {
            Once::Done(outcome) | Once::Repeated(outcome) => outcome.err().map(Refused::from),
            Once::Reused => {
                return Err(Failure::Impossible(format!(
                    "order {order_id} asks for other money than before"
                )));
            }
        };
        let message = WithdrawalProcessed { user_id, order_id, price, error };
        said.add(cause, Outgoing::new(user_id, format_args!("order/{order_id}"), &message));
    }
    Ok(())
}

fn user_creation_failed(registration: &Registration, error: UserCreationError) -> Outgoing {
    let message = UserCreationFailed { user_info: registration.clone(), error: error.into() };
    let username = registration.username.as_str();
    Outgoing::new(username, format_args!("registration/{username}"), &message)
}

pub(crate) fn about_user(user: UserId, message: &impl messaging::Message) -> Outgoing {
    Outgoing::new(user, format_args!("user/{user}"), message)
}

pub(crate) fn user_info(user: User) -> Result<UserInfo, Failure> {
    let id = user.id;
    user.try_into().map_err(|error| Failure::Corrupt(id, error))
}

/// Replaces a user's profile, and tells everybody who keeps a replica of it.
pub(crate) async fn update_profile(
    State(outbox): State<Outbox>,
    Path(id): Path<UserId>,
    headers: HeaderMap,
    Deliverable(profile): Deliverable<Profile>,
) -> Result<Response, ApiError> {
    let (request, if_version) = (RequestContext::current().uuid(), shared::if_match(&headers)?);
    let said = outbox.clone();
    let user = outbox.pool().transaction(move |tx| {
        Box::pin(async move {
            #[cfg(feature = "failpoints")]
            if mistakes::appends_before_it_locks() {
                return mistakes::update_profile(tx, &said, id, &profile).await;
            }
            let user = store::billing::update_profile(tx, id, &profile, if_version).await??;
            let user_info = user_info(user.clone()).map_err(|error| ApiError::Internal(error.into()))?;
            let message = about_user(id, &UserUpdated { user_info }).version(user.version);
            said.append(tx, &Cause::request(request), vec![message]).await?;
            Ok::<_, ApiError>(user)
        })
    });
    let user = user.await?;
    outbox.wake();
    Ok(shared::with_etag(user))
}

/// The service's own route; what it is asked and answers is the same in every style.
pub(crate) fn routes() -> OpenApiRouter<Outbox> {
    let (schemas, paths, _): UtoipaMethodRouter<store::Pool> = routes!(shared::update_profile);
    docs::documented("event-collab", "billing", "Owns users and accounts.").routes((
        schemas,
        paths,
        put(update_profile),
    ))
}

/// Runs billing until it is told to stop.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<()> {
    let telemetry = telemetry::init("billing", &settings.telemetry)?;
    let listener = web::bind(settings.server.listen).await?;
    let shutdown = web::shutdown_on_signal()?;
    let pool = settings.database.pool("billing")?;
    store::billing::migrate(&pool).await?;
    store::migrate(&pool, &messaging::migrations()).await?;

    let outbox = Outbox::new("billing", pool.clone(), &settings.kafka);
    let consumer = Consumer::new("billing", Billing, outbox.clone())?;
    let consumer = web::spawn_worker(consumer.run(shutdown.clone()), shutdown.clone());
    // After the consumer and the server: what they have said last is still to be published.
    let stop_relay = CancellationToken::new();
    let relay = web::spawn_worker(outbox.clone().relay(stop_relay.clone()), shutdown.clone());
    let routes = routes().with_state(outbox).merge(shared::routes().with_state(pool.clone()));
    let server = ServerSettings {
        listen: settings.server,
        checks: vec![api::database_check(&pool)],
        metrics: telemetry.metrics(),
        deadline: api::request_deadline,
        callers_deadline_counts: true,
    };
    web::serve(listener, docs::served(routes).layer(Extension(settings.addresses)), server, shutdown).await;
    consumer.await??;
    stop_relay.cancel();
    relay.await??;
    pool.close();
    Ok(())
}
