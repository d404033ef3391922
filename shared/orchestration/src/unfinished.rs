//! The list of unfinished orders: a table, and what is known in memory about those that are being finished.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::OrderId;
use sqlx::postgres::PgConnection;
use store::{Pool, StoreError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use web::RequestContext;

use crate::settings::RecoverySettings;

/// The list of unfinished orders. Its clones are the same list.
#[derive(Clone)]
pub struct Unfinished {
    pool: Pool,
    settings: RecoverySettings,
    /// Orders that are finished and not struck off the list yet. Nobody waits for that, so it is done for many at a time; if it is
    /// lost, recovery finds nothing left to do.
    finished: Arc<Mutex<Vec<OrderId>>>,
    /// Orders that are being finished.
    running: TaskTracker,
}

impl Unfinished {
    /// The list in the database behind `pool`, where [`migrations`](crate::migrations) were applied.
    pub fn new(pool: Pool, settings: RecoverySettings) -> Self {
        Self { pool, settings, finished: Arc::default(), running: TaskTracker::new() }
    }

    /// The database that it is in.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// When an order counts as left behind.
    pub fn settings(&self) -> RecoverySettings {
        self.settings
    }

    /// Writes down that `order` is unfinished, in the transaction that stores it.
    pub async fn remember(&self, conn: &mut PgConnection, order: OrderId) -> Result<(), StoreError> {
        sqlx::query(
            "insert into unfinished (order_id, due_at) values ($1, now() + $2 * interval '1 second')
             on conflict do nothing",
        )
        .bind(order)
        .bind(self.settings.due_after().as_secs_f64())
        .execute(conn)
        .await?;
        Ok(())
    }

    /// The context of an attempt to finish an order, on behalf of the current request: with more time than a client may wait.
    pub fn attempt(&self) -> RequestContext {
        RequestContext::current().with_deadline(self.settings.attempt_max())
    }

    /// Runs `finish`, the rest of an order's flow, in a task of its own, which outlives the request that began it.
    pub fn spawn<T: Send + 'static>(
        &self,
        attempt: RequestContext,
        finish: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.running.spawn(attempt.scope(finish).in_current_span())
    }

    /// `order` is finished.
    pub fn finished(&self, order: OrderId) {
        self.lock().push(order);
    }

    /// Strikes the finished orders off the list.
    pub(crate) async fn strike_off(&self) -> Result<(), StoreError> {
        let orders: Vec<i64> = std::mem::take(&mut *self.lock()).into_iter().map(|order| order.0).collect();
        if !orders.is_empty() {
            let strike_off = sqlx::query("delete from unfinished where order_id = any($1)").bind(orders);
            self.pool.run(|conn| Box::pin(strike_off.execute(conn))).await?;
        }
        Ok(())
    }

    /// Takes a due order: one that is pending before one that only lacks its email, so that notification being away holds up
    /// emails and nothing else. It comes due again after the lease, which doubles once and differs from order to order: one
    /// that never can be finished is not always ahead of the others.
    pub(crate) async fn take_due(&self) -> Result<Option<OrderId>, StoreError> {
        let take = sqlx::query_scalar(
            "update unfinished
             set attempts = attempts + 1,
                 due_at = now() + $1 * least(attempts + 1, 2) * (1 + random()) * interval '1 second'
             where order_id = (
                 select order_id from unfinished join orders on orders.id = order_id where due_at <= now()
                 order by (status = 'pending') desc, due_at limit 1 for update of unfinished skip locked)
             returning order_id",
        )
        .bind(self.settings.due_after().as_secs_f64());
        Ok(self.pool.run(|conn| Box::pin(take.fetch_optional(conn))).await?)
    }

    /// Waits, once the service is told to stop, for the orders that are being finished: those that were answered with 202 are still
    /// on their way. What takes too long, or cannot be struck off, is left to recovery, and that is no error.
    pub async fn finish_running(self, stop: CancellationToken) -> anyhow::Result<()> {
        stop.cancelled().await;
        self.running.close();
        if tokio::time::timeout(self.settings.attempt_max(), self.running.wait()).await.is_err() {
            tracing::warn!(orders = self.running.len(), "left to recovery");
        }
        if let Err(error) = self.strike_off().await {
            tracing::warn!(%error, "finished orders are left to recovery");
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<OrderId>> {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
