//! What runs beside the server, in the order in which it stops.

use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

type Worker = JoinHandle<anyhow::Result<()>>;

/// Workers without which the service is not sound: if one fails, the service stops.
pub(crate) struct Workers {
    shutdown: CancellationToken,
    first: Vec<Worker>,
    stop_last: CancellationToken,
    last: Vec<Worker>,
}

impl Workers {
    /// None yet. `shutdown` stops the first ones; it is cancelled if any of them fails.
    pub(crate) fn new(shutdown: CancellationToken) -> Self {
        Self { shutdown, first: Vec::new(), stop_last: CancellationToken::new(), last: Vec::new() }
    }

    /// A worker that is told to stop at once.
    pub(crate) fn first(
        &mut self,
        worker: impl FnOnce(CancellationToken) -> BoxFuture<'static, anyhow::Result<()>>,
    ) {
        let worker = worker(self.shutdown.clone());
        self.first.push(web::spawn_worker(worker, self.shutdown.clone()));
    }

    /// A worker that is told to stop when all first ones have ended.
    pub(crate) fn last(
        &mut self,
        worker: impl FnOnce(CancellationToken) -> BoxFuture<'static, anyhow::Result<()>>,
    ) {
        let worker = worker(self.stop_last.clone());
        self.last.push(web::spawn_worker(worker, self.shutdown.clone()));
    }

    /// Waits for the first ones, stops the last ones and waits for them.
    ///
    /// # Errors
    /// The first failure of a worker; the others are in the log. All of them have ended either way.
    pub(crate) async fn end(self) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        for worker in self.first {
            outcome = outcome.and(worker.await?);
        }
        self.stop_last.cancel();
        for worker in self.last {
            outcome = outcome.and(worker.await?);
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[tokio::test]
    async fn the_last_ones_stop_when_the_first_ones_have_ended() {
        let shutdown = CancellationToken::new();
        let mut workers = Workers::new(shutdown.clone());
        let ended = Arc::new(Mutex::new(Vec::new()));
        let worker = |name: &'static str, is_slow: bool| {
            let ended = Arc::clone(&ended);
            move |stop: CancellationToken| -> BoxFuture<'static, anyhow::Result<()>> {
                Box::pin(async move {
                    stop.cancelled().await;
                    // Whoever is told to stop at the same time ends before it.
                    for _ in 0..if is_slow { 1_000 } else { 0 } {
                        tokio::task::yield_now().await;
                    }
                    ended.lock().unwrap().push(name);
                    Ok(())
                })
            }
        };
        workers.last(worker("relay", false));
        workers.first(worker("consumer", true));
        shutdown.cancel();
        workers.end().await.unwrap();
        assert_eq!(*ended.lock().unwrap(), ["consumer", "relay"]);
    }

    #[tokio::test]
    async fn a_worker_that_fails_stops_the_service_and_the_others_end_in_order() {
        let shutdown = CancellationToken::new();
        let mut workers = Workers::new(shutdown.clone());
        workers.first(|_| Box::pin(async { anyhow::bail!("broken") }));
        workers.first(|stop| {
            Box::pin(async move {
                stop.cancelled().await;
                Ok(())
            })
        });
        workers.last(|stop| {
            Box::pin(async move {
                stop.cancelled().await;
                Ok(())
            })
        });
        let error = workers.end().await.unwrap_err();
        assert_eq!(error.to_string(), "broken");
        assert!(shutdown.is_cancelled());
    }
}
