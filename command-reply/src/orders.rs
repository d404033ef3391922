//! A saga among tables and messages: what it hears, what it says, and what becomes of its order, in one transaction.

use std::collections::{BTreeSet, HashMap};

use domain::{Money, OrderEmail, OrderId, Refusal, Settlement};
use messaging::{Cause, Message as _, Outbox, Outgoing, Said};
use service::Failure;
use sqlx::postgres::PgConnection;
use store::saga::{lock_all, lock_due, update_all};

use crate::messages::{
    CancelWithdrawal, ConfirmTicket, ReleaseTicket, ReserveTicket, SendEmail, TicketReserved, WithdrawMoney,
};
use crate::saga::{self, Command, Happened, State, Turn};

/// Bookings that give up in one transaction, at most.
const AT_ONCE: i64 = 100;

/// The saga of an order, as it is stored.
pub(crate) type Saga = store::saga::Saga<State>;

/// Has each order go on with what has happened to it: its saga, what that asks for next, and its end, in one transaction.
pub(crate) async fn advance(
    tx: &mut PgConnection,
    news: &[(&Cause, OrderId, Happened)],
    said: &mut Said,
) -> Result<(), Failure> {
    let orders: BTreeSet<OrderId> = news.iter().map(|(_, order, _)| *order).collect();
    let mut sagas: HashMap<OrderId, Saga> = lock_all(tx, &orders.into_iter().collect::<Vec<_>>()).await?;
    let (mut changed, mut ends) = (BTreeSet::new(), Vec::new());
    for (cause, order, happened) in news {
        let saga = sagas.get_mut(order);
        let saga = saga.ok_or_else(|| Failure::Impossible(format!("there is no order {order}")))?;
        let Some(turn) = hear(saga, happened) else {
            metrics::counter!("saga_news_ignored_total").increment(1);
            tracing::debug!(order = order.0, ?happened, state = ?saga.state, "told a second time, or too late");
            continue;
        };
        take(saga, &turn, cause, said);
        if let Some(settlement) = turn.end {
            said.add(cause, send_email(saga, settlement));
            ends.push((*order, settlement));
        }
        changed.insert(*order);
    }
    let changed = changed.iter().filter_map(|order| sagas.get(order));
    let changed: Vec<(&Saga, bool)> = changed.map(|saga| (saga, saga.state.may_be_given_up())).collect();
    update_all(tx, &changed).await?;
    store::order::settle_all(tx, &ends).await?;
    Ok(())
}

/// Has those bookings give up whose deadline has passed; says how many. Nothing is guessed: what may have been done is undone.
pub(crate) async fn give_up_late(outbox: Outbox) -> Result<usize, Failure> {
    let given_up = outbox.transaction(|tx, said| {
        Box::pin(async move {
            let late = lock_due(tx, AT_ONCE).await?.into_iter();
            let late: Vec<_> = late.map(|(order, request)| (Cause::request(request.0), order)).collect();
            let news =
                late.iter().map(|(cause, order)| (cause, *order, Happened::GivenUp(Refusal::TimedOut)));
            advance(tx, &news.collect::<Vec<_>>(), said).await?;
            Ok(late.len())
        })
    });
    given_up.await
}

/// Begins a saga, and says its first commands.
pub(crate) fn begin(saga: &mut Saga, cause: &Cause, said: &mut Said) {
    let turn = saga::begin(saga.event_id.is_some());
    take(saga, &turn, cause, said);
}

/// Goes on with what has happened; `None` if it changes nothing.
fn hear(saga: &mut Saga, happened: &Happened) -> Option<Turn> {
    let turn = saga::next(saga.state, saga.event_id.is_some(), happened)?;
    match happened {
        Happened::TicketReserved(ticket) => saga.ticket_id = Some(*ticket),
        Happened::MoneyWithdrawn(Some(contact))
        | Happened::WithdrawalRefused(_, Some(contact))
        | Happened::WithdrawalCancelled(Some(contact)) => saga.email = Some(contact.clone().into()),
        _ => {}
    }
    if let Some((step, progress)) = happened.progress() {
        saga.note(step, progress);
    }
    Some(turn)
}

/// Stands where `turn` leads, and says its commands.
fn take(saga: &mut Saga, turn: &Turn, cause: &Cause, said: &mut Said) {
    saga.state = turn.state;
    for command in &turn.commands {
        let (step, progress) = command.progress();
        saga.note(step, progress);
        said.add(cause, self::command(saga, *command));
    }
}

/// A command as a message: answered where the order service listens.
fn command(saga: &Saga, command: Command) -> Outgoing {
    let Saga { order_id, user_id, price, event_id, .. } = *saga;
    let (subject, price) = (format!("order/{order_id}"), Money(price));
    let message = match command {
        Command::ReserveTicket => {
            let event_id = event_id.expect("only a saga with a ticket reserves one");
            Outgoing::new(user_id, subject, &ReserveTicket { order_id, event_id })
        }
        Command::ConfirmTicket => Outgoing::new(user_id, subject, &ConfirmTicket { order_id }),
        Command::ReleaseTicket => Outgoing::new(user_id, subject, &ReleaseTicket { order_id }),
        Command::WithdrawMoney => {
            Outgoing::new(user_id, subject, &WithdrawMoney { order_id, user_id, price })
        }
        Command::CancelWithdrawal => {
            Outgoing::new(user_id, subject, &CancelWithdrawal { order_id, user_id, price })
        }
    };
    message.answered_on(TicketReserved::TOPIC)
}

/// The command to send the email about the end of the order; `None` for an unknown user, who has no address.
fn send_email(saga: &Saga, settlement: Settlement) -> Option<Outgoing> {
    let Saga { order_id, user_id, event_id, ref email, .. } = *saga;
    let about = if event_id.is_some() { OrderEmail::about_booking } else { OrderEmail::about };
    let OrderEmail { title, message } = about(order_id, settlement)?;
    let message = SendEmail {
        order_id,
        user_id,
        email: email.as_deref()?.parse().expect("an address that billing has told"),
        title: title.parse().expect("a title of ours"),
        message: message.parse().expect("a text of ours"),
    };
    Some(Outgoing::new(user_id, format_args!("order/{order_id}"), &message))
}
