//! The table of emails as the queue that `mail`'s worker sends from.

use std::time::Duration;

use mail::{Queue, QueuedEmail, Verdict};

use crate::{Pool, StoreError};

/// Emails that are due, in PostgreSQL. Any number of workers may share it.
#[derive(Clone, Debug)]
pub struct EmailQueue(pub Pool);

/// A claimed row.
#[derive(sqlx::FromRow)]
struct Claimed {
    id: i64,
    message_id: String,
    email: String,
    title: String,
    message: String,
    attempts: i32,
    taken_over: bool,
    traceparent: Option<String>,
}

impl Queue for EmailQueue {
    type Error = StoreError;

    async fn claim(&self, limit: usize, lease: Duration) -> Result<Vec<QueuedEmail>, StoreError> {
        // `skip locked`: two workers claim different emails instead of waiting for each other. In the order of the index and no
        // other: all that came due in the same moment, perhaps a million, would be sorted for each claim.
        let claim = sqlx::query_as(
            "with due as (
                 select id, status = 'sending' as taken_over from emails
                 where status in ('pending', 'sending') and due_at <= now()
                 order by due_at limit $1 for update skip locked
             ), claimed as (
                 update emails
                 set status = 'sending', attempts = attempts + 1, due_at = now() + $2 * interval '1 second',
                     unknown = unknown + taken_over::int
                 from due where emails.id = due.id
                 returning emails.*, taken_over
             )
             select id, message_id, email, title, message, attempts, taken_over, traceparent
             from claimed order by id",
        )
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .bind(lease.as_secs_f64());
        let claimed: Vec<Claimed> = self.0.run(|conn| Box::pin(claim.fetch_all(conn))).await?;
        let queued = |row: Claimed| QueuedEmail {
            id: row.id,
            message_id: row.message_id,
            to: row.email,
            subject: row.title,
            body: row.message,
            attempts: row.attempts,
            taken_over: row.taken_over,
            traceparent: row.traceparent,
        };
        Ok(claimed.into_iter().map(queued).collect())
    }

    async fn record(&self, email: &QueuedEmail, verdict: &Verdict) -> Result<bool, StoreError> {
        let (status, error, after, unknown, released) = match verdict {
            Verdict::Sent => ("sent", None, Duration::ZERO, false, false),
            Verdict::Failed { reason } => ("failed", Some(reason.clone()), Duration::ZERO, false, false),
            Verdict::Retry { reason, after, maybe_delivered } => {
                ("pending", Some(reason.clone()), *after, *maybe_delivered, false)
            }
            Verdict::Released => ("pending", None, Duration::ZERO, false, true),
        };
        // `attempts` names the claim: whoever took the email over has raised it.
        let record = sqlx::query(
            "update emails
             set status = $3, last_error = $4, due_at = now() + $5 * interval '1 second',
                 unknown = unknown + $6::int, attempts = attempts - $7::int,
                 sent_at = case when $3 = 'sent' then now() end
             where id = $1 and status = 'sending' and attempts = $2",
        )
        .bind(email.id)
        .bind(email.attempts)
        .bind(status)
        .bind(error)
        .bind(after.as_secs_f64())
        .bind(i32::from(unknown))
        .bind(i32::from(released));
        let recorded = self.0.run(|conn| Box::pin(record.execute(conn))).await?;
        Ok(recorded.rows_affected() == 1)
    }
}
