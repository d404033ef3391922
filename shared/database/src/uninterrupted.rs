//! Work that goes on when nobody waits for it any more.

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::Instrument as _;

/// Runs `work` to its end even if the caller stops waiting.
///
/// A client that hangs up drops its handler. Dropped in the wrong moment, `sqlx` 0.8.4 to 0.9.0 leaves a connection inside
/// an open transaction (its issue 4385); and a transaction that is half done is worth finishing.
/// So every transaction runs inside this.
///
/// # Panics
/// When `work` panics.
pub async fn uninterrupted<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let (done, outcome) = oneshot::channel();
    let running = spawn(Box::pin(async move {
        // Fails when the caller has stopped waiting.
        let _ = done.send(work.await);
    }));
    match outcome.await {
        Ok(outcome) => outcome,
        Err(_) => match running.await {
            Ok(()) => unreachable!("it ends without an outcome only by a panic"),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        },
    }
}

/// A task of one type, whatever its work is: what runs tasks is compiled once, and not again for each kind of work.
fn spawn(work: BoxFuture<'static, ()>) -> JoinHandle<()> {
    tokio::spawn(work.in_current_span())
}
