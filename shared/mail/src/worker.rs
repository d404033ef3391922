//! The worker: claims due emails, sends each, and records what became of it.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use metrics::{counter, gauge, histogram};
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::outage::Outage;
use crate::{About, Delivery, Mailer, Queue, QueuedEmail, Settings, Verdict};

/// Why a round stopped. Emails in hand are left to whoever claims them when their lease ends.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError<E: std::error::Error + 'static> {
    /// Nothing was sent.
    #[error("cannot claim due emails")]
    Claim(#[source] E),
    /// The attempt was made, and its lease ended before its outcome could be recorded.
    #[error("cannot record what became of email {id}")]
    Record {
        /// The email's key in the queue.
        id: i64,
        /// The last of several errors.
        source: E,
    },
}

impl<E: std::error::Error> DeliverError<E> {
    /// What the queue said.
    fn cause(&self) -> String {
        let (Self::Claim(source) | Self::Record { source, .. }) = self;
        source.to_string()
    }
}

/// Delivers until `shutdown`: drains what is due, then waits for `wake` (call `notify_one` after a commit), for the
/// poll interval, or, after an error of the queue, for a growing while.
///
/// `settings.senders` do so at the same time, each over a session of its own. While the server is in trouble they claim nothing,
/// and one of them asks it now and then for all. At shutdown the emails in hand are finished and recorded, and what was claimed
/// besides is released.
pub async fn run<Q: Queue>(
    queue: Q,
    mailer: Mailer,
    settings: Settings,
    wake: Arc<Notify>,
    shutdown: CancellationToken,
) {
    let others = (1..settings.senders).map(|_| mailer.another()).collect::<Vec<_>>();
    let mailers = std::iter::once(mailer).chain(others);
    gauge!("email_server_trouble").set(0.0);
    let outage = Outage::default();
    join_all(mailers.map(|mailer| send(&queue, mailer, &settings, &outage, &wake, &shutdown))).await;
}

/// One sender.
async fn send<Q: Queue>(
    queue: &Q,
    mut mailer: Mailer,
    settings: &Settings,
    outage: &Outage,
    wake: &Notify,
    shutdown: &CancellationToken,
) {
    let (mut failures, mut turn) = (0, None);
    while !shutdown.is_cancelled() {
        if turn.is_none() {
            turn = tokio::select! {
                () = shutdown.cancelled() => break,
                turn = outage.pass(&mut mailer, settings) => turn,
            };
        }
        let limit = if turn.is_some() { 1 } else { settings.batch };
        let pause = match deliver_batch(queue, &mut mailer, settings, limit, shutdown).await {
            Ok(Round { attempted, trouble }) => {
                outage.learn(turn.take(), trouble.as_deref());
                if failures > 0 {
                    tracing::info!(failures, "mail queue is back");
                }
                failures = 0;
                if attempted >= settings.batch {
                    // More than one sender's worth.
                    wake.notify_one();
                }
                if attempted > 0 {
                    continue;
                }
                settings.poll_interval
            }
            Err(error) => {
                failures += 1;
                // Once per outage: the ones that follow would say the same.
                if failures == 1 {
                    tracing::error!(%error, cause = error.cause(), "mail queue failed; trying again");
                }
                settings.backoff(failures)
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = wake.notified(), if failures == 0 => {}
            () = sleep(pause) => {}
        }
    }
    mailer.quit().await;
}

/// Does one round and returns how many emails were attempted; 0 means that nothing was due.
pub async fn deliver_due<Q: Queue>(
    queue: &Q,
    mailer: &mut Mailer,
    settings: &Settings,
) -> Result<usize, DeliverError<Q::Error>> {
    let round = deliver_batch(queue, mailer, settings, settings.batch, &CancellationToken::new()).await?;
    Ok(round.attempted)
}

/// What came of a round.
#[derive(Default)]
struct Round {
    attempted: usize,
    /// Why the server is in no state to be given more.
    trouble: Option<String>,
}

async fn deliver_batch<Q: Queue>(
    queue: &Q,
    mailer: &mut Mailer,
    settings: &Settings,
    limit: usize,
    shutdown: &CancellationToken,
) -> Result<Round, DeliverError<Q::Error>> {
    let lease = settings.lease.max(mailer.send_max());
    // A lease that has room for one attempt only is for one email: the others would be released, each with a commit.
    let limit = if lease > mailer.send_max() { limit } else { 1 };
    // From before the claim, so that for us the lease ends no later than for the queue.
    let claimed_at = Instant::now();
    let emails = queue.claim(limit, lease).await.map_err(DeliverError::Claim)?;
    // Their claimers may have died before the content or after it: the count is an upper bound of the copies.
    let taken_over = emails.iter().filter(|email| email.taken_over).count();
    counter!("email_deliveries_unknown_total").increment(taken_over as u64);
    let mut round = Round::default();
    for email in &emails {
        // While another claimer may hold the email, a second attempt would be a second copy. So none is started that
        // could outlast the lease; the first has the lease to itself.
        let in_time = round.attempted == 0 || claimed_at.elapsed() + mailer.send_max() <= lease;
        let verdict = if in_time && round.trouble.is_none() && !shutdown.is_cancelled() {
            round.attempted += 1;
            let delivery = attempt(mailer, email).await;
            round.trouble = delivery.trouble_of_the_server().map(str::to_owned);
            judge(delivery, email.attempts, settings)
        } else {
            Verdict::Released
        };
        record(queue, settings, email, &verdict, claimed_at + lease, shutdown).await?;
    }
    Ok(round)
}

async fn attempt(mailer: &mut Mailer, email: &QueuedEmail) -> Delivery {
    fail::fail_point!("mail::sending");
    let started_at = Instant::now();
    let delivery = mailer.send(email).await;
    histogram!("email_send_duration_seconds").record(started_at.elapsed());
    if matches!(delivery, Delivery::Unknown { .. }) {
        counter!("email_deliveries_unknown_total").increment(1);
    }
    delivery
}

fn judge(delivery: Delivery, attempts: i32, settings: &Settings) -> Verdict {
    let (reason, maybe_delivered) = match delivery {
        Delivery::Accepted => return Verdict::Sent,
        Delivery::Refused { reason } => return Verdict::Failed { reason },
        // Any other email would have met the same, so none of its attempts is used up.
        Delivery::Deferred { about: About::Server, .. } => return Verdict::Released,
        Delivery::Deferred { reason, .. } => (reason, false),
        Delivery::Unknown { reason } => (reason, true),
    };
    if attempts >= settings.attempts_max {
        let perhaps = if maybe_delivered { ", the last perhaps delivered" } else { "" };
        return Verdict::Failed { reason: format!("gave up after {attempts} attempts{perhaps}: {reason}") };
    }
    let after = settings.backoff(attempts.unsigned_abs());
    Verdict::Retry { reason, after, maybe_delivered }
}

/// Records a verdict, if need be several times while the lease lasts: an email that was accepted and is not recorded
/// will be sent again.
async fn record<Q: Queue>(
    queue: &Q,
    settings: &Settings,
    email: &QueuedEmail,
    verdict: &Verdict,
    lease_end: Instant,
    shutdown: &CancellationToken,
) -> Result<(), DeliverError<Q::Error>> {
    let mut failures = 0;
    loop {
        let source = match queue.record(email, verdict).await {
            Ok(ours) => {
                fail::fail_point!("mail::sent", *verdict == Verdict::Sent, |_| Ok(()));
                report(email, verdict, ours);
                return Ok(());
            }
            Err(source) => source,
        };
        failures += 1;
        let pause = settings.backoff(failures);
        if shutdown.is_cancelled() || Instant::now() + pause >= lease_end {
            return Err(DeliverError::Record { id: email.id, source });
        }
        if failures == 1 {
            tracing::warn!(id = email.id, error = %source, "cannot record an email yet");
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = sleep(pause) => {}
        }
    }
}

/// Counts and logs one outcome. Never recipient, subject or body: logs are read by more people than the mail.
fn report(email: &QueuedEmail, verdict: &Verdict, ours: bool) {
    let QueuedEmail { id, message_id, attempts, .. } = email;
    if !ours {
        tracing::warn!(
            id,
            message_id,
            attempts,
            "email was taken over by another worker: outcome not recorded"
        );
        return;
    }
    let outcome = match verdict {
        Verdict::Sent => {
            tracing::info!(id, message_id, attempts, "email sent");
            "sent"
        }
        Verdict::Failed { reason } => {
            tracing::error!(id, message_id, attempts, reason, "email failed");
            "failed"
        }
        Verdict::Retry { reason, after, maybe_delivered } => {
            tracing::warn!(id, message_id, attempts, reason, ?after, maybe_delivered, "email put off");
            "retried"
        }
        Verdict::Released => {
            tracing::debug!(id, message_id, "email released unsent");
            return;
        }
    };
    counter!("emails_total", "outcome" => outcome).increment(1);
}
