//! Readiness, asked for again and again.

use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::time::{Instant, sleep};
use url::Url;

use super::process::ServiceProcess;
use crate::styles::Service;

/// How long a service may take to get ready.
const READY_MAX: Duration = Duration::from_secs(30);
/// How often it is asked for.
const READY_POLL: Duration = Duration::from_millis(20);
/// How long one answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Waits until whoever listens at `url` says that it can do its work.
///
/// # Errors
/// When it does not within `longest`, or `may_come` says that it never will.
pub async fn wait_ready(
    url: &Url,
    longest: Duration,
    mut may_come: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (ready, deadline) = (url.join("ready")?, Instant::now() + longest);
    let http = reqwest::Client::builder().no_proxy().timeout(ANSWER_MAX).build()?;
    loop {
        match http.get(ready.clone()).send().await.and_then(reqwest::Response::error_for_status) {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > deadline => {
                return Err(error).with_context(|| format!("still so after {longest:?}"));
            }
            Err(_) => may_come()?,
        }
        sleep(READY_POLL).await;
    }
}

/// Waits until the process of `service` at `url` says that it can do its work.
pub(super) async fn wait_process_ready(
    process: &mut ServiceProcess,
    url: &Url,
    service: Service,
) -> anyhow::Result<()> {
    let ready = wait_ready(url, READY_MAX, || match process.ended() {
        Some(status) => bail!("it ended with {status}"),
        None => Ok(()),
    });
    if let Err(error) = ready.await {
        bail!("{} did not get ready: {error:#}\n{}", service.name(), process.last_words());
    }
    Ok(())
}
