//! The consistency checker: computes the [invariants](Invariant) from the database, the mailbox and the broker, never from
//! what services say. Tests, the study and `study check` all call it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::{BoxFuture, LocalBoxFuture};
use sandbox::{Mailbox, ReceivedMail};
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::time::{Instant, sleep};

use super::invariant::{Invariant, Violation};
use super::messages::Messages;
use super::rules::{ALWAYS, EMPTY_AT_REST, REPLICAS, REST, Rule, SEATS_ALWAYS, SEATS_AT_REST};
use crate::driving::Acknowledged;
use crate::running::Addresses;

/// How often the system is looked at while it comes to rest.
const POLL: Duration = Duration::from_millis(100);

/// Looks at one deployment with the auditor's eyes: everything, read-only.
pub struct Checker {
    database: PgPool,
    mailbox: Option<Mailbox>,
    messages: Option<Arc<Messages>>,
}

impl Checker {
    /// A checker of the deployment at `addresses`.
    pub fn new(addresses: &Addresses) -> anyhow::Result<Self> {
        let database = PgPoolOptions::new()
            .max_connections(1)
            // After a switchover the address leads to a standby for a while, and whoever is connected to that stays so.
            .before_acquire(|connection, _| Box::pin(async { Ok(refuse_standby(connection).await.is_ok()) }))
            .after_connect(|connection, _| Box::pin(refuse_standby(connection)))
            .connect_lazy(addresses.auditor.as_str())?;
        let messages = addresses.kafka.as_ref().map(|brokers| Messages::new(&addresses.style, brokers));
        let messages = messages.transpose()?.map(Arc::new);
        Ok(Self { database, mailbox: addresses.mailbox.as_ref().map(Mailbox::open), messages })
    }

    /// What is wrong right now that must never be, not even while everything runs.
    pub fn always(&self) -> BoxFuture<'_, anyhow::Result<Vec<Violation>>> {
        Box::pin(async move { self.snapshot(None).await })
    }

    /// Waits until the system is at rest and everything holds.
    ///
    /// # Errors
    /// When the checker itself fails. What still does not hold after `longest`, or must never be and was, is the answer.
    pub fn at_rest<'a>(
        &'a self,
        acknowledged: &'a Acknowledged,
        longest: Duration,
    ) -> LocalBoxFuture<'a, anyhow::Result<Vec<Violation>>> {
        Box::pin(async move {
            let deadline = Instant::now() + longest;
            loop {
                // On its own first: what must never be does not become right by going away.
                let always = self.always().await?;
                if !always.is_empty() {
                    return Ok(always);
                }
                let violations = self.now(acknowledged).await?;
                if violations.is_empty() || Instant::now() > deadline {
                    return Ok(violations);
                }
                sleep(POLL).await;
            }
        })
    }

    /// Everything, as it is now.
    pub fn now<'a>(
        &'a self,
        acknowledged: &'a Acknowledged,
    ) -> LocalBoxFuture<'a, anyhow::Result<Vec<Violation>>> {
        Box::pin(async move {
            let mut violations = self.snapshot(Some(acknowledged)).await?;
            if let Some(mailbox) = &self.mailbox {
                violations.extend(self.mailbox(mailbox).await?);
            }
            // What takes longest comes last, and only looks at what is at rest otherwise.
            if let Some(messages) = self.messages.as_ref().filter(|_| violations.is_empty()) {
                let (messages, poison) = (Arc::clone(messages), acknowledged.poison.clone());
                // librdkafka's questions block.
                let asked = tokio::task::spawn_blocking(move || messages.violations(&poison));
                // A broker that was away does not tell everything at once. Not to be told is not to know that all is well.
                violations.extend(asked.await?.unwrap_or_else(|error| {
                    vec![Violation {
                        invariant: Invariant::NothingLeft,
                        what: format!("the broker does not tell: {error:#}"),
                    }]
                }));
                if violations.is_empty() {
                    // A message that was on its way past both looks has had its effect by now.
                    violations = self.snapshot(Some(acknowledged)).await?;
                }
            }
            Ok(violations)
        })
    }

    /// What is wrong in one snapshot of the database: between two statements a service may move money from here to there. With what
    /// was `acknowledged`, it is expected to be at rest.
    async fn snapshot(&self, acknowledged: Option<&Acknowledged>) -> anyhow::Result<Vec<Violation>> {
        let mut connection =
            self.database.acquire().await.context("the checker cannot reach the database")?;
        let mut snapshot = connection.begin_with("begin isolation level repeatable read read only").await?;
        let has_bookings = exists(&mut snapshot, "ticket.tickets").await?;
        let seats = |rules: &'static [Rule]| rules.iter().filter(move |_| has_bookings);
        let at_rest = REST.iter().chain(seats(&SEATS_AT_REST)).filter(|_| acknowledged.is_some());
        let mut violations = Vec::new();
        for rule in ALWAYS.iter().chain(seats(&SEATS_ALWAYS)).chain(at_rest) {
            let found: Vec<String> = sqlx::query_scalar(rule.sql).fetch_all(&mut *snapshot).await?;
            violations.extend(found.into_iter().map(|what| Violation { invariant: rule.invariant, what }));
        }
        if let Some(acknowledged) = acknowledged {
            violations.extend(empty_tables(&mut snapshot).await?);
            violations.extend(replicas(&mut snapshot).await?);
            violations.extend(kept_promises(&mut snapshot, acknowledged).await?);
        }
        snapshot.commit().await?;
        Ok(violations)
    }

    /// [`Invariant::Emails`], seen from the receiving end.
    async fn mailbox(&self, mailbox: &Mailbox) -> anyhow::Result<Vec<Violation>> {
        let rows: Vec<EmailRow> = sqlx::query_as(
            "select id, message_id, email, title, status, unknown from notification.emails order by id",
        )
        .fetch_all(&self.database)
        .await?;
        let mut received: BTreeMap<String, Vec<ReceivedMail>> = BTreeMap::new();
        for mail in mailbox.messages()? {
            received.entry(mail.message_id.clone()).or_default().push(mail);
        }
        let mut wrong = Vec::new();
        for row in &rows {
            wrong.extend(row.compare(&received.remove(&row.message_id).unwrap_or_default()));
        }
        // Nobody else writes to these users: a mail that no row knows was sent under a second Message-ID.
        let ours: BTreeSet<String> = rows.iter().map(|row| on_the_wire(&row.email)).collect();
        for mail in received.values().flatten().filter(|mail| mail.to.iter().any(|to| ours.contains(to))) {
            wrong.push(format!("a mail was received that no email explains: {mail:?}"));
        }
        Ok(wrong.into_iter().map(|what| Violation { invariant: Invariant::Emails, what }).collect())
    }
}

/// What the notification service says of an email.
#[derive(sqlx::FromRow)]
struct EmailRow {
    id: i64,
    message_id: String,
    email: String,
    title: String,
    status: String,
    unknown: i32,
}

impl EmailRow {
    /// What is wrong about the copies that were received.
    fn compare(&self, copies: &[ReceivedMail]) -> Vec<String> {
        let Self { id, email, title, status, unknown, .. } = self;
        let mut wrong = Vec::new();
        if copies.is_empty() && status == "sent" {
            wrong.push(format!("email {id} counts as sent, but was not received"));
        }
        // A copy is allowed only where a delivery broke off between the content and the reply, and that is counted.
        let deliveries = usize::from(status == "sent") + usize::try_from(*unknown).unwrap_or(0);
        if copies.len() > deliveries {
            wrong.push(format!(
                "email {id} is {status} and was received {} times, {unknown} broke off",
                copies.len()
            ));
        }
        // A header does not keep outer and repeated blanks (RFC 5322, folding).
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for copy in copies {
            if copy.to != [on_the_wire(email)] || words(&copy.subject) != words(title) {
                wrong.push(format!("email {id} to {email} about {title:?} arrived as {copy:?}"));
            }
        }
        wrong
    }
}

/// An address as it goes over SMTP: an international domain as A-labels.
fn on_the_wire(address: &str) -> String {
    let ascii = |domain| idna::domain_to_ascii(domain).ok();
    let wire =
        address.rsplit_once('@').and_then(|(local, domain)| Some(format!("{local}@{}", ascii(domain)?)));
    wire.unwrap_or_else(|| address.to_owned())
}

/// What a standby has may be older than what clients were promised.
async fn refuse_standby(connection: &mut PgConnection) -> sqlx::Result<()> {
    if sqlx::query_scalar("select pg_is_in_recovery()").fetch_one(connection).await? {
        return Err(sqlx::Error::Protocol("the address leads to a standby".to_owned()));
    }
    Ok(())
}

async fn empty_tables(snapshot: &mut PgConnection) -> anyhow::Result<Vec<Violation>> {
    let mut violations = Vec::new();
    for table in EMPTY_AT_REST {
        if !exists(snapshot, table).await? {
            continue;
        }
        // Safe: the name is one of the constants above.
        let count = AssertSqlSafe(format!("select count(*) from {table}"));
        let rows: i64 = sqlx::query_scalar(count).fetch_one(&mut *snapshot).await?;
        if rows > 0 {
            violations.push(Violation {
                invariant: Invariant::NothingLeft,
                what: format!("{table} still has {rows} rows"),
            });
        }
    }
    Ok(violations)
}

/// [`Invariant::Replicas`]: each has what its source has.
async fn replicas(snapshot: &mut PgConnection) -> anyhow::Result<Vec<Violation>> {
    let mut violations = Vec::new();
    for table in REPLICAS {
        if !exists(snapshot, table).await? {
            continue;
        }
        // Safe: the name is one of the constants above.
        let differing = AssertSqlSafe(format!(
            "select format('user %s: the source has %s, {table} has %s', coalesce(u.id, r.id), u, r)
             from (select id, username, first_name, last_name, email, phone, version from billing.users) u
             full join {table} r on r.id = u.id
             where (u.id, u.username, u.first_name, u.last_name, u.email, u.phone, u.version)
                 is distinct from (r.id, r.username, r.first_name, r.last_name, r.email, r.phone, r.version)"
        ));
        let found: Vec<String> = sqlx::query_scalar(differing).fetch_all(&mut *snapshot).await?;
        violations.extend(found.into_iter().map(|what| Violation { invariant: Invariant::Replicas, what }));
    }
    Ok(violations)
}

async fn exists(snapshot: &mut PgConnection, table: &str) -> sqlx::Result<bool> {
    sqlx::query_scalar("select to_regclass($1) is not null").bind(table).fetch_one(snapshot).await
}

/// [`Invariant::Promises`]: what was acknowledged is there.
async fn kept_promises(conn: &mut PgConnection, promised: &Acknowledged) -> anyhow::Result<Vec<Violation>> {
    let users: Vec<i64> = promised.users.iter().map(|user| user.0).collect();
    let moved = promised.deposits.iter().map(|moved| (moved, "deposit"));
    let moved = moved.chain(promised.withdrawals.iter().map(|moved| (moved, "withdrawal")));
    let (owners, (sums, kinds)): (Vec<i64>, (Vec<i64>, Vec<&str>)) =
        moved.map(|((user, sum), kind)| (user.0, (*sum, kind))).unzip();
    let (orders, statuses): (Vec<i64>, Vec<&str>) =
        promised.orders.iter().map(|(order, status)| (order.0, *status)).unzip();
    let requests: Vec<uuid::Uuid> = promised.requests.iter().map(|request| request.0).collect();
    let accepted: Vec<uuid::Uuid> = promised.accepted.iter().map(|request| request.0).collect();
    let (profiles, versions): (Vec<i64>, Vec<i64>) =
        promised.profiles.iter().map(|(user, version)| (user.0, *version)).unzip();
    let broken: Vec<String> = sqlx::query_scalar(
        r#"select format('user %s was acknowledged and is missing', u) from unnest($1::bigint[]) u
           where not exists (select from billing.users where id = u)
           union all
           -- More than was acknowledged is no broken promise: an answer may have been lost.
           select format('user %s was acknowledged %s of %ss, the ledger has %s', u, s, k, coalesce(has, 0))
           from unnest($2::bigint[], $3::bigint[], $4::text[]) promised (u, s, k) left join (
               select user_id, kind, sum(amount) as has
               from billing.ledger where order_id is null group by user_id, kind) l on l.user_id = u and l.kind = k
           where coalesce(has, 0) < s
           union all
           select format('order %s was acknowledged as %s and is %s', o, s, coalesce(status, 'missing'))
           from unnest($5::bigint[], $6::text[]) promised (o, s) left join "order".orders on id = o
           where status is distinct from s
           union all
           select format('request %s for an order was accepted and has none', r) from unnest($7::uuid[]) r
           where not exists (select from "order".orders where request_id = r)
           union all
           select format('request %s was accepted and billing does not know it', r) from unnest($8::uuid[]) r
           where not exists (select from billing.requests where request_id = r)
           union all
           select format('profile %s was acknowledged in version %s and is %s', u, v, coalesce(version::text, 'missing'))
           from unnest($9::bigint[], $10::bigint[]) promised (u, v) left join billing.users on id = u
           where version is null or version < v"#,
    )
    .bind(users)
    .bind(owners)
    .bind(sums)
    .bind(kinds)
    .bind(orders)
    .bind(statuses)
    .bind(requests)
    .bind(accepted)
    .bind(profiles)
    .bind(versions)
    .fetch_all(conn)
    .await?;
    Ok(broken.into_iter().map(|what| Violation { invariant: Invariant::Promises, what }).collect())
}
