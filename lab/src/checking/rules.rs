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
                  select user_id, sum(case kind when 'withdrawal' then -amount else amount end) as ledger
                  from billing.ledger group by user_id) sums using (user_id)
              where balance <> coalesce(ledger, 0) or balance < 0",
    },
    // The ids of one account's entries follow their commits, since each entry is written under the account's row lock.
    Rule {
        invariant: Invariant::Money,
        sql: "select format('ledger entry %s of user %s leaves %s, but the entries up to it sum up to %s',
                  id, user_id, balance_after, running)
              from (select *, sum(case kind when 'withdrawal' then -amount else amount end)
                        over (partition by user_id order by id) as running from billing.ledger) entries
              where running <> balance_after or running < 0",
    },
    Rule {
        invariant: Invariant::Withdrawals,
        sql: "select format('order %s has %s entries of the kind %s', order_id, count(*), kind)
              from billing.ledger where order_id is not null group by order_id, kind having count(*) > 1",
    },
    Rule {
        invariant: Invariant::Money,
        sql: "select format('user %s has %s %ss over %s in the ledger, but requests led to %s over %s',
                  user_id, entries, kind, total, asked, asked_total)
              from (select user_id, kind, count(*) as entries, sum(amount) as total
                    from billing.ledger group by user_id, kind) l
              full join (select (asked->>'user_id')::bigint as user_id,
                                case operation when 'deposit' then 'deposit' when 'refund-order' then 'refund'
                                               else 'withdrawal' end as kind,
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
pub(super) const REST: [Rule; 7] = [
    Rule {
        invariant: Invariant::Withdrawals,
        sql: r#"select format('order %s of user %s over %s is %s, but its withdrawal is %s',
                   coalesce(o.id, l.order_id), o.user_id, o.price, coalesce(o.status, 'unknown'),
                   coalesce(l.amount::text, 'missing'))
               from "order".orders o full join (
                   select * from billing.ledger w where order_id is not null and kind = 'withdrawal'
                     and not exists (select from billing.ledger r where r.order_id = w.order_id and r.kind = 'refund')
               ) l on l.order_id = o.id
               where o.id is null or (o.status = 'paid') is distinct from (l.order_id is not null)
                  or (l.order_id is not null and (l.user_id, l.amount) is distinct from (o.user_id, o.price))"#,
    },
    Rule {
        invariant: Invariant::Withdrawals,
        sql: "select format('order %s was refunded %s, and withdrawn was %s', r.order_id, r.amount, w.amount)
              from billing.ledger r left join billing.ledger w on w.order_id = r.order_id and w.kind = 'withdrawal'
              where r.kind = 'refund' and (r.user_id, r.amount) is distinct from (w.user_id, w.amount)",
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
                   or bool_or(e.id is not null and not e.title = any(case
                       when o.status = 'paid' then array['Order is paid', 'Booking is paid']
                       when o.reason = 'insufficient-funds' then array['Not enough money']
                       when o.reason = 'sold-out' then array['Sold out']
                       else array['Booking is cancelled'] end))
                   or bool_or(e.user_id <> o.user_id)"#,
    },
    Rule {
        invariant: Invariant::Emails,
        sql: r#"select format('email %s is about order %s, which does not exist', e.id, e.order_id)
               from notification.emails e left join "order".orders o on o.id = e.order_id
               where e.order_id is not null and o.id is null"#,
    },
];

/// Holds at every moment where there are bookings.
pub(super) const SEATS_ALWAYS: [Rule; 2] = [
    Rule {
        invariant: Invariant::Seats,
        sql: "select format('event %s has %s seats: %s free, %s reserved, %s sold', id, capacity, free, reserved, sold)
              from ticket.events where free + reserved + sold <> capacity or least(free, reserved, sold) < 0",
    },
    Rule {
        invariant: Invariant::Seats,
        sql: "select format('event %s has %s seats reserved and %s sold, and tickets for %s and %s',
                  e.id, e.reserved, e.sold, t.reserved, t.sold)
              from ticket.events e cross join lateral (
                  select count(*) filter (where state = 'reserved') as reserved,
                         count(*) filter (where state = 'sold') as sold
                  from ticket.tickets where event_id = e.id) t
              where (e.reserved, e.sold) is distinct from (t.reserved, t.sold)",
    },
];

/// Holds at rest where there are bookings.
pub(super) const SEATS_AT_REST: [Rule; 4] = [
    Rule {
        invariant: Invariant::Seats,
        sql: "select format('event %s still has %s seats reserved', id, reserved) from ticket.events where reserved > 0",
    },
    Rule {
        invariant: Invariant::Seats,
        sql: r#"select format('booking %s is %s, and its ticket is %s', coalesce(b.order_id, t.order_id),
                   coalesce(o.status, 'unknown'), coalesce(t.state, 'missing'))
               from (select * from "order".sagas where event_id is not null) b
               full join ticket.tickets t on t.order_id = b.order_id
               left join "order".orders o on o.id = coalesce(b.order_id, t.order_id)
               where b.order_id is null
                  or (o.status = 'paid') is distinct from (t.state = 'sold' and t.id = b.ticket_id and t.event_id = b.event_id)"#,
    },
    Rule {
        invariant: Invariant::NothingLeft,
        sql: r#"select format('the saga of order %s still waits: %s', order_id, state)
               from "order".sagas where state->>'is' <> 'ended'"#,
    },
    Rule {
        invariant: Invariant::Emails,
        sql: r#"select format('the email about order %s says %s', s.order_id, e.title)
               from "order".sagas s join "order".orders o on o.id = s.order_id
               join notification.emails e on e.order_id = s.order_id
               where o.status = 'paid' and (e.title = 'Booking is paid') <> (s.event_id is not null)"#,
    },
];

/// Tables that must be empty at rest, in the styles that have them.
pub(super) const EMPTY_AT_REST: [&str; 6] = [
    "\"order\".unfinished",
    "\"order\".outbox",
    "billing.outbox",
    "notification.outbox",
    "notification.parked_emails",
    "ticket.outbox",
];

/// Replicas of billing's users, in the styles that have them.
pub(super) const REPLICAS: [&str; 2] = ["\"order\".user_replica", "notification.user_replica"];
