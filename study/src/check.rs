//! The consistency checker: computes the invariants from the databases and the mailbox, never from what services say. Tests,
//! the study and `study check` all call it.
//!
//! At rest (faults are over and every process is back), and 1 also all the time:
//!
//! 1. Money: deposits less withdrawals are the balances; every balance equals its ledger and was never negative; the ledger
//!    has exactly the movements that requests led to.
//! 2. A withdrawal for an order exists exactly when the order is paid, at most one per order; a terminal status never changes.
//! 3. Nothing is left to do: no order pending, no email on its way, no order unfinished.
//! 4. Every acknowledged creation exists.
//! 5. Exactly one email per terminal order of a known user, matching the outcome; received under one Message-ID, in more than
//!    one copy only where a delivery broke off.
//! 6. Replicas have their source's content (in styles that have replicas).
//! 7. No database session sits idle in a transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Context as _;
use sandbox::{Mailbox, ReceivedMail};
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _};
use tokio::time::{Instant, sleep};

use crate::client::Acknowledged;
use crate::deployment::Addresses;

/// How often the system is looked at while it comes to rest.
const POLL: Duration = Duration::from_millis(100);

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant's number, as in the list above.
    pub invariant: u8,
    /// What was found, with the rows' ids.
    pub what: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "invariant {}: {}", self.invariant, self.what)
    }
}

/// An invariant as a query whose rows are its violations, one text each.
struct Rule {
    invariant: u8,
    sql: &'static str,
}

/// Holds at every moment, on any snapshot.
const ALWAYS: [Rule; 5] = [
    Rule {
        invariant: 1,
        sql: "select format('user %s has balance %s, but the ledger says %s', user_id, balance, coalesce(ledger, 0))
              from billing.accounts left join (
                  select user_id, sum(case kind when 'deposit' then amount else -amount end) as ledger
                  from billing.ledger group by user_id) sums using (user_id)
              where balance <> coalesce(ledger, 0) or balance < 0",
    },
    // The ids of one account's entries follow their commits, since each entry is written under the account's row lock.
    Rule {
        invariant: 1,
        sql: "select format('ledger entry %s of user %s leaves %s, but the entries up to it sum up to %s',
                  id, user_id, balance_after, running)
              from (select *, sum(case kind when 'deposit' then amount else -amount end)
                        over (partition by user_id order by id) as running from billing.ledger) entries
              where running <> balance_after or running < 0",
    },
    Rule {
        invariant: 2,
        sql: "select format('order %s was charged %s times', order_id, count(*))
              from billing.ledger where order_id is not null group by order_id having count(*) > 1",
    },
    Rule {
        invariant: 1,
        sql: "select format('user %s has %s %ss over %s in the ledger, but requests led to %s over %s',
                  user_id, entries, kind, total, asked, asked_total)
              from (select user_id, kind, count(*) as entries, sum(amount) as total
                    from billing.ledger group by user_id, kind) l
              full join (select (asked->>'user_id')::bigint as user_id,
                                case operation when 'deposit' then 'deposit' else 'withdrawal' end as kind,
                                count(*) as asked, sum((asked->>'amount')::bigint) as asked_total
                         from billing.requests where operation <> 'create-user' and outcome ? 'Ok'
                         group by 1, 2) r using (user_id, kind)
              where (entries, total) is distinct from (asked, asked_total)",
    },
    // A second is long for a transaction here; sessions idle in one for less are just between two statements.
    Rule {
        invariant: 7,
        sql: "select format('session %s of %s is %s since %s', pid, application_name, state, state_change)
              from pg_stat_activity
              where datname = current_database() and pid <> pg_backend_pid() and state like 'idle in transaction%'
                and clock_timestamp() - state_change > interval '1 second'",
    },
];

/// Holds at rest.
const REST: [Rule; 6] = [
    Rule {
        invariant: 2,
        sql: r#"select format('order %s of user %s over %s is %s, but its withdrawal is %s',
                   coalesce(o.id, l.order_id), o.user_id, o.price, coalesce(o.status, 'unknown'), coalesce(l.amount::text, 'missing'))
               from "order".orders o full join (
                   select * from billing.ledger where order_id is not null and kind = 'withdrawal') l on l.order_id = o.id
               where o.id is null or (o.status = 'paid') is distinct from (l.order_id is not null)
                  or (l.order_id is not null and (l.user_id, l.amount) is distinct from (o.user_id, o.price))"#,
    },
    Rule {
        invariant: 2,
        sql: r#"select format('order %s is %s at version %s', id, status, version)
               from "order".orders where version <> (case status when 'pending' then 1 else 2 end)"#,
    },
    Rule {
        invariant: 3,
        sql: r#"select format('order %s is still pending', id) from "order".orders where status = 'pending'"#,
    },
    Rule {
        invariant: 3,
        sql: "select format('email %s is still %s: %s', id, status, coalesce(last_error, 'no error'))
              from notification.emails where status in ('pending', 'sending')",
    },
    Rule {
        invariant: 5,
        sql: r#"select format('order %s is %s (%s) and has %s emails: %s', o.id, o.status, o.reason, count(e.id), string_agg(e.title, ', '))
               from "order".orders o left join notification.emails e on e.order_id = o.id
               where o.status <> 'pending'
               group by o.id
               having count(e.id) <> (case when o.reason = 'account-not-found' then 0 else 1 end)
                   or bool_or(e.title is distinct from
                       case o.status when 'paid' then 'Order is paid' else 'Not enough money' end and e.id is not null)
                   or bool_or(e.user_id <> o.user_id)"#,
    },
    Rule {
        invariant: 5,
        sql: r#"select format('email %s is about order %s, which does not exist', e.id, e.order_id)
               from notification.emails e left join "order".orders o on o.id = e.order_id
               where e.order_id is not null and o.id is null"#,
    },
];

/// Tables that must be empty at rest, in the styles that have them.
const EMPTY_AT_REST: [&str; 1] = ["\"order\".unfinished"];

/// Looks at one deployment with the auditor's eyes: everything, read-only.
pub struct Checker {
    database: PgPool,
    mailbox: Option<Mailbox>,
}

impl Checker {
    /// A checker of the deployment at `addresses`.
    pub fn new(addresses: &Addresses) -> anyhow::Result<Self> {
        let database = PgPoolOptions::new().max_connections(1).connect_lazy(addresses.auditor.as_str())?;
        Ok(Self { database, mailbox: addresses.mailbox.as_ref().map(Mailbox::open) })
    }

    /// What is wrong right now that must never be, not even while everything runs.
    pub async fn always(&self) -> anyhow::Result<Vec<Violation>> {
        self.snapshot(ALWAYS.iter(), None).await
    }

    /// Waits until the system is at rest and everything holds.
    ///
    /// # Errors
    /// When the checker itself fails. What still does not hold after `longest`, or must never be and was, is the answer.
    pub async fn at_rest(
        &self,
        acknowledged: &Acknowledged,
        longest: Duration,
    ) -> anyhow::Result<Vec<Violation>> {
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
    }

    /// Everything, as it is now.
    pub async fn now(&self, acknowledged: &Acknowledged) -> anyhow::Result<Vec<Violation>> {
        let mut violations = self.snapshot(ALWAYS.iter().chain(&REST), Some(acknowledged)).await?;
        if let Some(mailbox) = &self.mailbox {
            violations.extend(self.mailbox(mailbox).await?);
        }
        Ok(violations)
    }

    /// Runs `rules` on one snapshot of the database: between two statements a service may move money from here to there.
    async fn snapshot(
        &self,
        rules: impl Iterator<Item = &Rule>,
        acknowledged: Option<&Acknowledged>,
    ) -> anyhow::Result<Vec<Violation>> {
        let mut connection =
            self.database.acquire().await.context("the checker cannot reach the database")?;
        let mut snapshot = connection.begin_with("begin isolation level repeatable read read only").await?;
        let mut violations = Vec::new();
        for rule in rules {
            let found: Vec<String> = sqlx::query_scalar(rule.sql).fetch_all(&mut *snapshot).await?;
            violations.extend(found.into_iter().map(|what| Violation { invariant: rule.invariant, what }));
        }
        if let Some(acknowledged) = acknowledged {
            violations.extend(empty_tables(&mut snapshot).await?);
            violations.extend(kept_promises(&mut snapshot, acknowledged).await?);
        }
        snapshot.commit().await?;
        Ok(violations)
    }

    /// Invariant 5, seen from the receiving end.
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
        let ours: BTreeSet<&str> = rows.iter().map(|row| row.email.as_str()).collect();
        for mail in
            received.values().flatten().filter(|mail| mail.to.iter().any(|to| ours.contains(to.as_str())))
        {
            wrong.push(format!("a mail was received that no email explains: {mail:?}"));
        }
        Ok(wrong.into_iter().map(|what| Violation { invariant: 5, what }).collect())
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
            if copy.to != [email.clone()] || words(&copy.subject) != words(title) {
                wrong.push(format!("email {id} to {email} about {title:?} arrived as {copy:?}"));
            }
        }
        wrong
    }
}

async fn empty_tables(snapshot: &mut PgConnection) -> anyhow::Result<Vec<Violation>> {
    let mut violations = Vec::new();
    for table in EMPTY_AT_REST {
        let exists: bool = sqlx::query_scalar("select to_regclass($1) is not null")
            .bind(table)
            .fetch_one(&mut *snapshot)
            .await?;
        if !exists {
            continue;
        }
        // Safe: the name is one of the constants above.
        let count = AssertSqlSafe(format!("select count(*) from {table}"));
        let rows: i64 = sqlx::query_scalar(count).fetch_one(&mut *snapshot).await?;
        if rows > 0 {
            violations.push(Violation { invariant: 3, what: format!("{table} still has {rows} rows") });
        }
    }
    Ok(violations)
}

/// Invariant 4: what was acknowledged is there.
async fn kept_promises(conn: &mut PgConnection, promised: &Acknowledged) -> anyhow::Result<Vec<Violation>> {
    let users: Vec<i64> = promised.users.iter().map(|user| user.0).collect();
    let moved = promised.deposits.iter().map(|moved| (moved, "deposit"));
    let moved = moved.chain(promised.withdrawals.iter().map(|moved| (moved, "withdrawal")));
    let (owners, (sums, kinds)): (Vec<i64>, (Vec<i64>, Vec<&str>)) =
        moved.map(|((user, sum), kind)| (user.0, (*sum, kind))).unzip();
    let (orders, statuses): (Vec<i64>, Vec<&str>) =
        promised.orders.iter().map(|(order, status)| (order.0, *status)).unzip();
    let requests: Vec<uuid::Uuid> = promised.requests.iter().map(|request| request.0).collect();
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
           where not exists (select from "order".orders where request_id = r)"#,
    )
    .bind(users)
    .bind(owners)
    .bind(sums)
    .bind(kinds)
    .bind(orders)
    .bind(statuses)
    .bind(requests)
    .fetch_all(conn)
    .await?;
    Ok(broken.into_iter().map(|what| Violation { invariant: 4, what }).collect())
}
