//! What recovery has to know of a style's flow.

use std::error::Error;

use store::StoreError;
use store::order::Order;

/// The part of a style's flow that comes after the pending order is stored. Each step finds its earlier effect, so recovery may
/// run it again, after a crash anywhere in it.
pub trait Flow: Send + Sync + 'static {
    /// Why a step failed.
    type Error: FlowError;

    /// Has billing decide a pending order, and writes the decision down. An order that is decided comes back as it is.
    fn decide(&self, order: Order) -> impl Future<Output = Result<Order, Self::Error>> + Send;

    /// Hands the email about a decided order over, and strikes the order off the list of unfinished ones.
    fn notify(&self, order: &Order) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// A step of a flow failed. The order is as unfinished as before.
pub trait FlowError: Error + From<StoreError> + Send + Sync + 'static {
    /// Whether the next order would meet the same: a service or the database is away.
    fn concerns_every_order(&self) -> bool;
}
