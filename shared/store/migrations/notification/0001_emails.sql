-- The notification service owns emails.

create table emails (
    id          bigint generated always as identity primary key,
    request_id  uuid        not null constraint emails_request_id_key unique,
    user_id     bigint      not null,
    email       text        not null,
    title       text        not null,
    message     text        not null,
    order_id    bigint,
    -- What about the order: an order ends once, so it gets one email.
    kind        text        check (kind in ('order-outcome')),
    -- Fixed here and never again: a repeated delivery carries the same Message-ID, so that a mailbox can drop it.
    message_id  text        not null unique,
    status      text        not null default 'pending' check (status in ('pending', 'sending', 'sent', 'failed')),
    attempts    int         not null default 0,
    -- When the next attempt may start; while `sending`, when the sender counts as dead.
    due_at      timestamptz not null default now(),
    -- A delivery broke off after the content was sent: the server may have the email already.
    unknown     int         not null default 0,
    last_error  text,
    created_at  timestamptz not null default now(),
    sent_at     timestamptz,
    constraint emails_order_kind_key unique (order_id, kind),
    check ((order_id is null) = (kind is null))
);
create index emails_user_id on emails (user_id, id);
-- Small: sent and failed emails are not in it.
create index emails_due on emails (due_at) where status in ('pending', 'sending');
