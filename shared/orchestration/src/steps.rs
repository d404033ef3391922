//! The two steps of a flow that are taken in the order service alone, whatever the calls between them are made with: the order is there,
//! pending, and listed; and the order is paid or rejected.

use std::error::Error;

use api::ApiError;
use api::operations::billing::once;
use api::types::CreateOrderRequest;
use domain::{RequestId, Settlement};
use store::order::{NewOrder, Order};
use store::{StoreError, chain, uninterrupted};
use tokio::task::JoinHandle;

use crate::unfinished::Unfinished;

impl Unfinished {
    /// Stores the pending order, with its row on the list, and starts to `finish` it. A repeated request joins in: every step
    /// finds its earlier effect.
    ///
    /// # Errors
    /// When the key came with another order before, or the database is away.
    pub async fn begin<T, E, F>(
        &self,
        request: RequestId,
        CreateOrderRequest { user_id, price }: CreateOrderRequest,
        finish: impl FnOnce(Order) -> F + Send + 'static,
    ) -> Result<JoinHandle<Result<T, E>>, ApiError>
    where
        T: Send + 'static,
        E: Error + Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let (unfinished, attempt) = (self.clone(), self.attempt());
        let new = NewOrder { request, user: user_id, price, user_version: None };
        // Whoever hangs up between the two: what is stored is finished at once, and not by recovery.
        uninterrupted(async move {
            let list = unfinished.clone();
            let stored = unfinished.pool().transaction(move |tx| {
                Box::pin(async move {
                    let order = once(store::order::create(tx, new).await?)?;
                    if order.settlement().is_none() {
                        list.remember(tx, order.id).await?;
                    }
                    Ok::<_, ApiError>(order)
                })
            });
            let order = stored.await?;
            fail::fail_point!("order::pending");
            let id = order.id;
            let finishing = finish(order);
            // Logged here, since nobody may wait for it any more.
            Ok(unfinished.spawn(attempt, async move {
                finishing.await.inspect_err(|error| {
                    tracing::warn!(order = id.0, error = chain(error), "left to recovery");
                })
            }))
        })
        .await
    }

    /// Writes down what billing decided, for good. An order that is settled stays as it is.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn settle(&self, order: Order, settlement: Settlement) -> Result<Order, StoreError> {
        let settled = self.pool().run(move |conn| {
            Box::pin(async move {
                match store::order::settle(conn, order.id, settlement).await? {
                    Some(settled) => Ok::<_, StoreError>(settled),
                    // Somebody was faster: a repeat of the request, or recovery. Billing told both of them the same.
                    None => Ok(store::order::find(conn, order.id).await?.unwrap_or(order)),
                }
            })
        });
        settled.await
    }
}
