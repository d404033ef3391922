//! The list of unfinished orders: a table, and what is known in memory about those that are being finished.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::OrderId;
use sqlx::postgres::PgConnection;
use store::order::Order;
use store::{Pool, StoreError, chain};
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
    /// What the list does not say yet. Nobody waits for that, so it is written for many at a time; if it is lost, recovery finds
    /// out itself.
    news: Arc<Mutex<News>>,
    /// Orders that are being finished.
    running: TaskTracker,
}

/// What has become of orders on the list.
#[derive(Default)]
struct News {
    /// They are finished.
    finished: Vec<i64>,
    /// They are decided, and their email is missing.
    decided: Vec<i64>,
}

impl Unfinished {
    /// The list in the database behind `pool`, where [`migrations`](crate::migrations) were applied.
    pub fn new(pool: Pool, settings: RecoverySettings) -> Self {
        Self { pool, settings, news: Arc::default(), running: TaskTracker::new() }
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
        self.lock().finished.push(order.0);
    }

    /// `order` is decided, and its email could not be handed over: orders that are pending come before it.
    pub fn lacks_its_email(&self, order: OrderId) {
        self.lock().decided.push(order.0);
    }

    /// Brings the list up to date: strikes off the finished orders, and puts those that lack their email behind the pending ones.
    pub(crate) async fn write_news(&self) -> Result<(), StoreError> {
        let News { finished, decided } = std::mem::take(&mut *self.lock());
        if !finished.is_empty() {
            let strike_off = sqlx::query("delete from unfinished where order_id = any($1)").bind(finished);
            self.pool.run(|conn| Box::pin(strike_off.execute(conn))).await?;
        }
        if !decided.is_empty() {
            let put_behind =
                sqlx::query("update unfinished set decided = true where order_id = any($1)").bind(decided);
            self.pool.run(|conn| Box::pin(put_behind.execute(conn))).await?;
        }
        Ok(())
    }

    /// Takes at most `limit` due orders, those that waited longest: pending ones as long as there are any, then those that only lack
    /// their email, so that notification being away holds up emails and nothing else.
    ///
    /// An order comes due again after the lease, which doubles once and differs from order to order: one that never can be finished is
    /// not always ahead of the others. Reads no more rows than it takes, however long the list is.
    pub(crate) async fn take_due(&self, limit: i64) -> Result<Vec<Order>, StoreError> {
        loop {
            let mut taken = self.take(false, limit).await?;
            if taken.is_empty() {
                return self.take(true, limit).await;
            }
            // Decided by somebody who could not say so any more. They are behind the pending ones now.
            taken.retain(|order| order.settlement().is_none());
            if !taken.is_empty() {
                return Ok(taken);
            }
        }
    }

    /// Takes from one of the two queues. What is in the wrong one is put into the other.
    async fn take(&self, decided: bool, limit: i64) -> Result<Vec<Order>, StoreError> {
        let take = sqlx::query_as(
            "update unfinished
             set decided = is_decided, attempts = attempts + (decided = is_decided)::int,
                 due_at = case when decided = is_decided
                     then now() + $1 * least(attempts + 1, 2) * (1 + random()) * interval '1 second'
                     else due_at end
             from (select order_id from unfinished where decided = $2 and due_at <= now()
                   order by due_at limit $3 for update skip locked) due
                  join (select *, status <> 'pending' as is_decided from orders) orders on orders.id = due.order_id
             where unfinished.order_id = due.order_id
             returning orders.*",
        )
        .bind(self.settings.due_after().as_secs_f64())
        .bind(decided)
        .bind(limit);
        Ok(self.pool.run(|conn| Box::pin(take.fetch_all(conn))).await?)
    }

    /// Waits, once the service is told to stop, for the orders that are being finished: those that were answered with 202 are still
    /// on their way. What takes too long, or cannot be struck off, is left to recovery, and that is no error.
    pub async fn finish_running(self, stop: CancellationToken) -> anyhow::Result<()> {
        stop.cancelled().await;
        self.running.close();
        if tokio::time::timeout(self.settings.attempt_max(), self.running.wait()).await.is_err() {
            tracing::warn!(orders = self.running.len(), "left to recovery");
        }
        if let Err(error) = self.write_news().await {
            tracing::warn!(error = chain(&error), "finished orders are left to recovery");
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
