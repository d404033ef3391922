//! Finishes what a crash, or a peer that was away, left unfinished.
//!
//! An orchestrator keeps the state of a flow in its own memory, and that is lost with the process. What must not be lost is
//! one row per order that is not finished yet, written with the order itself. A due row is taken (with a lease, so that two
//! instances do not take the same) and the flow is run again from where the order stands. Unknown is not failed: nothing is
//! ever refunded, the same question is asked again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clap::Args;
use domain::OrderId;
use sqlx::postgres::PgConnection;
use store::{Pool, StoreError};
use tokio_util::sync::CancellationToken;
use web::RequestContext;

use crate::calls::CallError;
use crate::order::{Orders, Unfinished};

/// Settings of recovery.
#[derive(Clone, Copy, Debug, Args)]
pub struct RecoverySettings {
    /// How long an order may stay unfinished before recovery takes it up, in milliseconds.
    #[arg(long, env = "RECOVERY_AFTER_MS", default_value_t = 5_000)]
    recovery_after_ms: u64,

    /// How often recovery looks for such orders, in milliseconds.
    #[arg(long, env = "RECOVERY_POLL_MS", default_value_t = 1_000)]
    recovery_poll_ms: u64,
}

impl RecoverySettings {
    /// When an order counts as left behind.
    pub(crate) fn due_after(&self) -> Duration {
        Duration::from_millis(self.recovery_after_ms)
    }

    /// How long one attempt to finish an order may take: less than [`Self::due_after`], so that recovery does not take up
    /// what is still being worked on. If it did, the two would find each other's effects.
    pub(crate) fn attempt_max(&self) -> Duration {
        self.due_after() * 4 / 5
    }
}

/// Creates the table of unfinished orders or brings it up to date.
pub(crate) async fn migrate(pool: &Pool) -> Result<(), StoreError> {
    let mut migrator = sqlx::migrate!("migrations/order");
    // In the schema of the order service, beside the migrations that every style shares.
    migrator.dangerous_set_table_name("_recovery_migrations");
    store::migrate(pool, &migrator).await
}

/// Writes down that `order` is unfinished, in the transaction that stores it.
pub(crate) async fn remember(
    conn: &mut PgConnection,
    order: OrderId,
    due: Duration,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into unfinished (order_id, due_at) values ($1, now() + $2 * interval '1 second')
         on conflict do nothing",
    )
    .bind(order)
    .bind(due.as_secs_f64())
    .execute(conn)
    .await?;
    Ok(())
}

/// Orders that are finished and not struck off the list yet. Nobody waits for that, so it is done for many at a time, before the
/// next round of recovery; if it is lost, recovery finds nothing left to do.
#[derive(Clone, Default)]
pub(crate) struct Finished(Arc<Mutex<Vec<OrderId>>>);

impl Finished {
    /// `order` is finished.
    pub(crate) fn add(&self, order: OrderId) {
        self.lock().push(order);
    }

    /// Strikes all of them off the list.
    pub(crate) async fn strike_off(&self, pool: &Pool) -> Result<(), StoreError> {
        let orders: Vec<i64> = std::mem::take(&mut *self.lock()).into_iter().map(|order| order.0).collect();
        if !orders.is_empty() {
            let strike_off = sqlx::query("delete from unfinished where order_id = any($1)").bind(orders);
            pool.run(|conn| Box::pin(strike_off.execute(conn))).await?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<OrderId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a due order: one that is pending before one that only lacks its email, so that notification being away holds up
/// emails and nothing else. It comes due again after the lease, which doubles once and differs from order to order: one
/// that never can be finished is not always ahead of the others.
async fn take_due(pool: &Pool, lease: Duration) -> Result<Option<OrderId>, StoreError> {
    let take = sqlx::query_scalar(
        "update unfinished
         set attempts = attempts + 1,
             due_at = now() + $1 * least(attempts + 1, 2) * (1 + random()) * interval '1 second'
         where order_id = (
             select order_id from unfinished join orders on orders.id = order_id where due_at <= now()
             order by (status = 'pending') desc, due_at limit 1 for update of unfinished skip locked)
         returning order_id",
    )
    .bind(lease.as_secs_f64());
    Ok(pool.run(|conn| Box::pin(take.fetch_optional(conn))).await?)
}

/// Takes up due orders until `shutdown`.
pub(crate) async fn run(orders: Orders, shutdown: CancellationToken) {
    let poll = Duration::from_millis(orders.recovery.recovery_poll_ms);
    while !shutdown.is_cancelled() {
        if let Err(error) = recover_due(&orders, &shutdown).await {
            tracing::warn!(%error, "recovery will try again");
        }
        tokio::select! { () = tokio::time::sleep(poll) => {}, () = shutdown.cancelled() => {} }
    }
}

/// One round: takes and finishes what is due, order by order. An order that cannot be finished does not stop the others,
/// unless billing or the database is away, or notification while only emails are left: that is no better for the next one.
async fn recover_due(orders: &Orders, shutdown: &CancellationToken) -> Result<(), Unfinished> {
    while !shutdown.is_cancelled() {
        orders.finished.strike_off(&orders.pool).await?;
        let Some(order) = take_due(&orders.pool, orders.recovery.due_after()).await? else { break };
        let context = RequestContext::background(orders.recovery.attempt_max());
        match context.scope(Box::pin(recover(orders, order))).await {
            Ok(()) => {}
            Err(error @ (Unfinished::Call(CallError::Peer(_)) | Unfinished::Store(_))) => return Err(error),
            Err(error) => tracing::error!(order = order.0, %error, "cannot be finished; will be tried again"),
        }
    }
    Ok(())
}

#[tracing::instrument(skip(orders))]
async fn recover(orders: &Orders, order: OrderId) -> Result<(), Unfinished> {
    let found = orders.pool.run(move |conn| Box::pin(store::order::find(conn, order))).await?;
    let Some(order) = found else { return Ok(()) };
    let was_pending = order.settlement().is_none();
    let order = orders.decide(order).await?;
    match orders.notify(&order, None).await {
        // The next pending order may still be decided; the email comes due again.
        Err(error) if was_pending => tracing::warn!(order = order.id.0, %error, "the email will follow"),
        outcome => outcome?,
    }
    metrics::counter!("orders_recovered_total").increment(1);
    tracing::info!(order = order.id.0, status = ?order.status, "recovered");
    Ok(())
}
