//! Billing in the command/reply style: a participant. It does what a command says, and answers where the command says; it knows no
//! orchestrator, and nobody else.
//!
//! ```text
//! WithdrawMoney -> balance -> MoneyWithdrawn | WithdrawalRefused
//! CancelWithdrawal -> balance, or a tombstone -> WithdrawalCancelled
//! ```

use std::collections::HashMap;
use std::mem::discriminant;

use api::accounts::Accounts;
use api::docs;
use api::password::{PasswordHasher, PasswordSettings};
use clap::Args;
use domain::{Amount, Money, OrderId, Refused, RequestId, UserId};
use messaging::{Cause, Handler, Known, Outgoing, Said};
use service::{ConsumerSettings, Failure, Service};
use sqlx::postgres::PgConnection;
use store::Pool;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::messages::{
    CancelWithdrawal, Contact, MoneyWithdrawn, TYPES, WithdrawMoney, WithdrawalCancelled, WithdrawalRefused,
};

/// Settings of billing.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    #[command(flatten)]
    service: ConsumerSettings,
    #[command(flatten)]
    passwords: PasswordSettings,
}

messaging::consumes! {
    /// What billing does when it is told to.
    pub(crate) enum Incoming of TYPES; { WithdrawMoney, CancelWithdrawal }
}

/// Accounts, as a participant.
struct Billing;

impl Handler for Billing {
    type Incoming = Incoming;
    /// Everything is in the command.
    type Fact = ();
    type Error = Failure;

    /// In the order in which they came, those of one kind together as far as they follow each other.
    async fn handle(
        &self,
        tx: &mut PgConnection,
        batch: &[&Known<Incoming, ()>],
        said: &mut Said,
    ) -> Result<(), Failure> {
        let users = batch.iter().map(|known| match &known.event.message {
            Incoming::WithdrawMoney(asked) => asked.user_id,
            Incoming::CancelWithdrawal(asked) => asked.user_id,
        });
        let contacts = store::billing::addresses(tx, users).await?;
        let kind = |known: &Known<Incoming, ()>| discriminant(&known.event.message);
        for run in batch.chunk_by(|one, next| kind(one) == kind(next)) {
            let mut withdrawals = Vec::new();
            for Known { event, cause, fact: () } in run {
                match &event.message {
                    Incoming::WithdrawMoney(asked) => withdrawals.push((cause, asked)),
                    Incoming::CancelWithdrawal(asked) => {
                        said.reply(cause, cancel_withdrawal(tx, cause, asked, &contacts).await?);
                    }
                }
            }
            withdraw_money(tx, &withdrawals, &contacts, said).await?;
        }
        Ok(())
    }
}

/// Takes the money for orders, where it is there.
async fn withdraw_money(
    tx: &mut PgConnection,
    commands: &[(&Cause, &WithdrawMoney)],
    contacts: &HashMap<UserId, Contact>,
    said: &mut Said,
) -> Result<(), Failure> {
    if commands.is_empty() {
        return Ok(());
    }
    fail::fail_point!("billing::withdrawal_received");
    let asked: Vec<(RequestId, OrderId, UserId, Amount)> = commands
        .iter()
        .map(|(cause, asked)| (RequestId(cause.correlation_id), asked.order_id, asked.user_id, asked.price.0))
        .collect();
    for ((cause, asked), refused) in commands.iter().zip(store::billing::pay_orders(tx, &asked).await?) {
        let WithdrawMoney { user_id, order_id, .. } = **asked;
        let (subject, contact) = (format!("order/{order_id}"), contacts.get(&user_id).cloned());
        said.reply(
            cause,
            match refused.map(Refused::from) {
                None => Outgoing::new(user_id, subject, &MoneyWithdrawn { order_id, contact }),
                Some(error) => {
                    Outgoing::new(user_id, subject, &WithdrawalRefused { order_id, error, contact })
                }
            },
        );
    }
    Ok(())
}

/// Gives the money back, or sees to it that none is taken.
async fn cancel_withdrawal(
    tx: &mut PgConnection,
    cause: &Cause,
    &CancelWithdrawal { user_id, order_id, price: Money(price) }: &CancelWithdrawal,
    contacts: &HashMap<UserId, Contact>,
) -> Result<Outgoing, Failure> {
    let request = RequestId(cause.correlation_id);
    let refunded = store::billing::cancel_withdrawal(tx, request, order_id, user_id, price).await?;
    let contact = contacts.get(&user_id).cloned();
    let message = WithdrawalCancelled { order_id, refunded: refunded.map(Money), contact };
    Ok(Outgoing::new(user_id, format_args!("order/{order_id}"), &message))
}

/// Registering and depositing: billing is asked for both over HTTP.
pub(crate) fn routes() -> OpenApiRouter<Accounts> {
    docs::documented("command-reply", "billing", "Owns users and accounts.").merge(api::accounts::routes())
}

/// What every style shares; nobody is told about a profile update.
pub(crate) fn shared_routes() -> OpenApiRouter<Pool> {
    api::billing::routes().routes(routes!(api::billing::update_profile))
}

/// Runs billing until it is told to stop.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<()> {
    let passwords = PasswordHasher::new(&settings.passwords)?;
    let tables = [store::billing::migrations()];
    let (mut service, outbox) = Service::start_with_messages("billing", settings.service, tables).await?;
    service.consume("billing", Billing, &outbox)?;
    service.publish(&outbox);
    let pool = outbox.pool().clone();
    let routes = routes().with_state(Accounts { pool: pool.clone(), passwords });
    service.serve(routes.merge(shared_routes().with_state(pool))).await
}
