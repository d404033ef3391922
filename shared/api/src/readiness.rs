//! `/ready` of a service that owns tables.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use store::{Pool, chain, condition};
use web::Check;

/// Without its database a service that owns tables can do nothing; nor can it with one that takes no writes.
///
/// Whoever asks is told what kind of trouble it is. The whole cause goes to the log, when the trouble begins.
pub fn database_check(pool: &Pool) -> Check {
    let (pool, usable) = (pool.clone(), Arc::new(AtomicBool::new(true)));
    Check::required("database", move || {
        let (pool, usable) = (pool.clone(), Arc::clone(&usable));
        async move {
            let answer = pool.ping().await;
            let was_usable = usable.swap(answer.is_ok(), Ordering::Relaxed);
            match &answer {
                Err(error) if was_usable => {
                    tracing::warn!(error = chain(error), "not ready: the database cannot be used");
                }
                Ok(()) if !was_usable => tracing::info!("the database can be used again"),
                Ok(()) | Err(_) => {}
            }
            answer.map_err(|error| condition(&error))
        }
    })
}
