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
use api::types::Order;
use api::{ApiError, Deliverable, billing as shared};
use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use axum::routing::put;
use clap::Args;
use domain::{Money, Operation, Profile, Refused, RequestId, UserId};
use http::HeaderMap;
use messaging::{Cause, Consumer, Event, Handler, Known, Outbox, Outgoing, Said};
use sqlx::postgres::PgConnection;
use store::Once;
use store::billing::{Deposit, Withdrawal};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;
use web::{Client, Path, Peer, RequestContext, ServerSettings};

use crate::calls;
use crate::failure::Failure;
use crate::messages::{
    DepositProcessed, DepositRequested, TYPES, UserCreationProcessed, UserCreationRequested, UserUpdated,
    WithdrawalProcessed, WithdrawalRequested,
};

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
    client: web::ClientSettings,
    /// Where the order service is.
    #[arg(long, env = "ORDER_URL")]
    order_url: url::Url,
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
    let outcome = match store::billing::register(tx, request, registration, password_hash).await? {
        Once::Done(outcome) | Once::Repeated(outcome) => outcome.map_err(UserCreationError::from),
        Once::Reused => Err(UserCreationError::IdempotencyKeyReused),
    };
    Ok(match outcome {
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
    let outcome = match store::billing::deposit(tx, request, Deposit { user_id, amount }).await? {
        Once::Done(outcome) | Once::Repeated(outcome) => outcome.map_err(DepositError::from),
        Once::Reused => Err(DepositError::IdempotencyKeyReused),
    };
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
    let wanted: Vec<(RequestId, Withdrawal)> = requested
        .iter()
        .map(|(cause, order)| {
            let key = RequestId::derive(Operation::PayOrder, &cause.correlation_id.to_string());
            let Order { id, user_id, price: amount, .. } = **order;
            (key, Withdrawal { user_id, amount, order_id: Some(id) })
        })
        .collect();
    for ((cause, order), decided) in requested.iter().zip(store::billing::withdraw_all(tx, &wanted).await?) {
        let Order { id, user_id, .. } = **order;
        let error = match decided {
            Once::Done(outcome) | Once::Repeated(outcome) => outcome.err().map(Refused::from),
            Once::Reused => {
                return Err(Failure::Impossible(format!("order {id} asks for other money than before")));
            }
        };
        let message = WithdrawalProcessed { order_id: id, error };
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
    let (request, if_version) = (RequestContext::current().uuid(), shared::if_match(&headers)?);
    let said = outbox.clone();
    let user = outbox.pool().transaction(move |tx| {
        Box::pin(async move {
            let user = store::billing::update_profile(tx, id, &profile, if_version).await??;
            let message = about_user(id, &UserUpdated { user_id: id }).version(user.version);
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
    docs::documented("event-notifications", "billing", "Owns users and accounts.").routes((
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
    let billing = Billing { order: Client::new(settings.client)?.peer("order", settings.order_url) };
    let consumer = Consumer::new("billing", billing, outbox.clone())?;
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
