//! The invariants that the database can tell, as queries. Every row is a violation.

use super::invariant::Invariant;

/// An invariant as a query whose rows are its violations, one text each.
pub(super) struct Rule {
    pub(super) invariant: Invariant,
    pub(super) sql: &'static str,
}

/// Holds at every moment, on any snapshot.
pub(super) const ALWAYS: [Rule; 5] = [
    Rule {
        invariant: Invariant::Money,
        sql: "select format('user %s has balance %s, but the ledger says %s', user_id, balance, coalesce(ledger, 0))
              from billing.accounts left join (
                  select user_id, sum(case kind when 'deposit' then amount else -amount end) as ledger
                  from billing.ledger group by user_id) sums using (user_id)
              where balance <> coalesce(ledger, 0) or balance < 0",
    },
    // The ids of one account's entries follow their commits, since each entry is written under the account's row lock.
    Rule {
        invariant: Invariant::Money,
        sql: "select format('ledger entry %s of user %s leaves %s, but the entries up to it sum up to %s',
                  id, user_id, balance_after, running)
              from (select *, sum(case kind when 'deposit' then amount else -amount end)
                        over (partition by user_id order by id) as running from billing.ledger) entries
              where running <> balance_after or running < 0",
    },
    Rule {
        invariant: Invariant::Withdrawals,
        sql: "select format('order %s was charged %s times', order_id, count(*))
              from billing.ledger where order_id is not null group by order_id having count(*) > 1",
    },
    Rule {
        invariant: Invariant::Money,
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
    // A second is long for a transaction here; sessions idle in one for less are just between two statements. Only a rebuild
    // of a replica waits in its transaction, for the rest of a topic, and no longer than its session is allowed to.
    Rule {
        invariant: Invariant::Sessions,
        sql: "select format('session %s of %s is %s since %s', pid, application_name, state, state_change)
              from pg_stat_activity
              where datname = current_database() and pid <> pg_backend_pid() and state like 'idle in transaction%'
                and application_name <> 'rebuild-replica'
                and clock_timestamp() - state_change > interval '1 second'",
    },
];

/// Holds at rest.
pub(super) const REST: [Rule; 6] = [
    Rule {
        invariant: Invariant::Withdrawals,
        sql: r#"select format('order %s of user %s over %s is %s, but its withdrawal is %s',
                   coalesce(o.id, l.order_id), o.user_id, o.price, coalesce(o.status, 'unknown'),
                   coalesce(l.amount::text, 'missing'))
               from "order".orders o full join (
                   select * from billing.ledger where order_id is not null and kind = 'withdrawal') l on l.order_id = o.id
               where o.id is null or (o.status = 'paid') is distinct from (l.order_id is not null)
                  or (l.order_id is not null and (l.user_id, l.amount) is distinct from (o.user_id, o.price))"#,
    },
    Rule {
        invariant: Invariant::Withdrawals,
        sql: r#"select format('order %s is %s at version %s', id, status, version)
               from "order".orders where version <> (case status when 'pending' then 1 else 2 end)"#,
    },
    Rule {
        invariant: Invariant::NothingLeft,
        sql: r#"select format('order %s is still pending', id) from "order".orders where status = 'pending'"#,
    },
    Rule {
        invariant: Invariant::NothingLeft,
        sql: "select format('email %s is still %s: %s', id, status, coalesce(last_error, 'no error'))
              from notification.emails where status in ('pending', 'sending')",
    },
    Rule {
        invariant: Invariant::Emails,
        sql: r#"select format('order %s is %s (%s) and has %s emails: %s',
                   o.id, o.status, o.reason, count(e.id), string_agg(e.title, ', '))
               from "order".orders o left join notification.emails e on e.order_id = o.id
               where o.status <> 'pending'
               group by o.id
               having count(e.id) <> (case when o.reason = 'account-not-found' then 0 else 1 end)
                   or bool_or(e.title is distinct from
                       case o.status when 'paid' then 'Order is paid' else 'Not enough money' end and e.id is not null)
                   or bool_or(e.user_id <> o.user_id)"#,
    },
    Rule {
        invariant: Invariant::Emails,
        sql: r#"select format('email %s is about order %s, which does not exist', e.id, e.order_id)
               from notification.emails e left join "order".orders o on o.id = e.order_id
               where e.order_id is not null and o.id is null"#,
    },
];

/// Tables that must be empty at rest, in the styles that have them.
pub(super) const EMPTY_AT_REST: [&str; 5] = [
    "\"order\".unfinished",
    "\"order\".outbox",
    "billing.outbox",
    "notification.outbox",
    "notification.parked_emails",
];

/// Replicas of billing's users, in the styles that have them.
pub(super) const REPLICAS: [&str; 2] = ["\"order\".user_replica", "notification.user_replica"];
