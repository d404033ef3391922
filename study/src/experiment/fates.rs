//! What became of orders, as the database tells it afterwards, on the same machine's clock.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::ensure;
use domain::RequestId;
use lab::driving::eventually;
use sqlx::{Connection as _, PgConnection};
use url::Url;
use uuid::Uuid;

use super::orders::Placed;

/// What became of one order.
#[derive(Clone, Debug, Default, sqlx::FromRow)]
pub(crate) struct Fate {
    pub(super) request_id: Uuid,
    /// The version of its user's profile that it was taken with, in a style that has replicas.
    pub(crate) user_version: Option<i64>,
    /// When it was paid or rejected, in seconds since 1970.
    pub(crate) terminal_at_s: Option<f64>,
    /// How often it was charged.
    pub(crate) charges: i64,
    /// Emails about it ...
    pub(crate) emails: i64,
    /// ... where one of them went, ...
    pub(crate) address: Option<String>,
    /// ... under which `Message-ID`, ...
    pub(crate) message_id: Option<String>,
    /// ... and when the SMTP server had taken the last, in seconds since 1970.
    pub(crate) emailed_at_s: Option<f64>,
}

/// What became of each of `placed` that left a trace.
pub(crate) async fn of(auditor: &Url, placed: &[Placed]) -> anyhow::Result<HashMap<RequestId, Fate>> {
    let requests: Vec<Uuid> = placed.iter().map(|order| order.request.0).collect();
    let mut database = PgConnection::connect(auditor.as_str()).await?;
    let fates: Vec<Fate> = sqlx::query_as(
        r#"select o.request_id, o.user_version, e.*,
                  case when o.status <> 'pending' then extract(epoch from o.updated_at)::float8 end as terminal_at_s,
                  (select count(*) from billing.ledger l where l.order_id = o.id and l.kind = 'withdrawal') as charges
           from "order".orders o cross join lateral (
               select count(*) as emails, min(email) as address, min(message_id) as message_id,
                      extract(epoch from max(sent_at))::float8 as emailed_at_s
               from notification.emails where order_id = o.id) e
           where o.request_id = any($1)"#,
    )
    .bind(requests)
    .fetch_all(&mut database)
    .await?;
    database.close().await?;
    Ok(fates.into_iter().map(|fate| (RequestId(fate.request_id), fate)).collect())
}

/// The same when each acknowledged order is terminal and its email is out.
///
/// # Errors
/// When one is not after `longest`.
pub(crate) async fn settled(
    auditor: &Url,
    placed: &[Placed],
    longest: Duration,
) -> anyhow::Result<HashMap<RequestId, Fate>> {
    eventually(longest, async || {
        let fates = of(auditor, placed).await?;
        let acknowledged: Vec<&Placed> = placed.iter().filter(|order| order.is_acknowledged()).collect();
        let lack = |is_there: fn(&Fate) -> bool| {
            acknowledged.iter().filter(|order| !fates.get(&order.request).is_some_and(is_there)).count()
        };
        let (unknown, open) = (lack(|_| true), lack(|fate| fate.terminal_at_s.is_some()));
        let untold = lack(|fate| fate.emailed_at_s.is_some());
        ensure!(
            untold == 0,
            "of {} orders {unknown} are unknown, {open} not decided, and the email of {untold} is not out",
            acknowledged.len()
        );
        Ok(fates)
    })
    .await
}
