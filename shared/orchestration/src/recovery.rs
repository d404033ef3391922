//! Finishes what a crash, or a peer that was away, left unfinished.
//!
//! A due row is taken (with a lease, so that two instances do not take the same) and the flow is run again from where the order
//! stands. Unknown is not failed: nothing is ever refunded, the same question is asked again.

use domain::OrderId;
use tokio_util::sync::CancellationToken;
use web::RequestContext;

use crate::flow::{Flow, FlowError as _};
use crate::unfinished::Unfinished;

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
            tracing::warn!(%error, "recovery will try again");
        }
        let next_round = tokio::time::sleep(unfinished.settings().poll_interval());
        tokio::select! { () = next_round => {}, () = shutdown.cancelled() => {} }
    }
    Ok(())
}

/// One round: takes and finishes what is due, order by order. An order that cannot be finished does not stop the others,
/// unless billing or the database is away, or notification while only emails are left: that is no better for the next one.
async fn recover_due<F: Flow>(
    flow: &F,
    unfinished: &Unfinished,
    shutdown: &CancellationToken,
) -> Result<(), F::Error> {
    while !shutdown.is_cancelled() {
        unfinished.strike_off().await?;
        let Some(order) = unfinished.take_due().await? else { break };
        let context = RequestContext::background(unfinished.settings().attempt_max());
        match context.scope(Box::pin(recover(flow, unfinished, order))).await {
            Ok(()) => {}
            Err(error) if error.concerns_every_order() => return Err(error),
            Err(error) => tracing::error!(order = order.0, %error, "cannot be finished; will be tried again"),
        }
    }
    Ok(())
}

#[tracing::instrument(skip(flow, unfinished))]
async fn recover<F: Flow>(flow: &F, unfinished: &Unfinished, order: OrderId) -> Result<(), F::Error> {
    let found = unfinished.pool().run(move |conn| Box::pin(store::order::find(conn, order))).await?;
    let Some(order) = found else { return Ok(()) };
    let was_pending = order.settlement().is_none();
    let order = flow.decide(order).await?;
    match flow.notify(&order).await {
        // The next pending order may still be decided; the email comes due again.
        Err(error) if was_pending => tracing::warn!(order = order.id.0, %error, "the email will follow"),
        outcome => outcome?,
    }
    metrics::counter!("orders_recovered_total").increment(1);
    tracing::info!(order = order.id.0, status = ?order.status, "recovered");
    Ok(())
}
