//! Finishes what a crash, or a peer that was away, left unfinished.
//!
//! Due rows are taken (with a lease, so that two instances do not take the same) and the flow is run again from where each order
//! stands. Unknown is not failed: nothing is ever refunded, the same question is asked again.

use futures_util::future::join_all;
use store::chain;
use store::order::Order;
use tokio_util::sync::CancellationToken;
use web::RequestContext;

use crate::flow::{Flow, FlowError as _};
use crate::unfinished::Unfinished;

/// Orders that are finished at the same time: fewer than the service's connections to the database (10 by default), so that those who
/// wait for an answer get one, too.
const AT_ONCE_MAX: i64 = 8;

/// Takes up due orders until `shutdown`, and runs `flow` again for each.
///
/// # Errors
/// None: what fails is tried again, and logged.
pub async fn recover_until(
    shutdown: CancellationToken,
    flow: impl Flow,
    unfinished: Unfinished,
) -> anyhow::Result<()> {
    while !shutdown.is_cancelled() {
        if let Err(error) = recover_due(&flow, &unfinished, &shutdown).await {
            tracing::warn!(error = chain(&error), "recovery will try again");
        }
        let next_round = tokio::time::sleep(unfinished.settings().poll_interval());
        tokio::select! { () = next_round => {}, () = shutdown.cancelled() => {} }
    }
    Ok(())
}

/// One round: takes and finishes what is due, some orders at a time. An order that cannot be finished does not stop the others,
/// unless billing or the database is away, or notification while only emails are left: that is no better for the next ones.
///
/// It begins with one order, which finds out whether they are back, and doubles.
async fn recover_due<F: Flow>(
    flow: &F,
    unfinished: &Unfinished,
    shutdown: &CancellationToken,
) -> Result<(), F::Error> {
    let mut at_once = 1;
    while !shutdown.is_cancelled() {
        unfinished.write_news().await?;
        let taken = unfinished.take_due(at_once).await?;
        if taken.is_empty() {
            break;
        }
        let recovering = taken.into_iter().map(|order| {
            let (id, context) = (order.id, RequestContext::background(unfinished.settings().attempt_max()));
            context.scope(async move { (id, recover(flow, unfinished, order).await) })
        });
        let mut all_concerned = None;
        for (order, outcome) in join_all(recovering).await {
            match outcome {
                Ok(()) => {}
                Err(error) if error.concerns_every_order() => all_concerned = Some(error),
                Err(error) => {
                    let error = chain(&error);
                    tracing::error!(order = order.0, error, "cannot be finished; will be tried again");
                }
            }
        }
        all_concerned.map_or(Ok(()), Err)?;
        at_once = (at_once * 2).min(AT_ONCE_MAX);
    }
    Ok(())
}

#[tracing::instrument(skip_all, fields(order = order.id.0))]
async fn recover<F: Flow>(flow: &F, unfinished: &Unfinished, order: Order) -> Result<(), F::Error> {
    let was_pending = order.settlement().is_none();
    let order = flow.decide(order).await?;
    match flow.notify(&order).await {
        // The next pending order may still be decided; the email comes due again.
        Err(error) if was_pending => {
            unfinished.lacks_its_email(order.id);
            tracing::warn!(order = order.id.0, error = chain(&error), "the email will follow");
        }
        outcome => outcome?,
    }
    metrics::counter!("orders_recovered_total").increment(1);
    tracing::info!(order = order.id.0, status = ?order.status, "recovered");
    Ok(())
}
