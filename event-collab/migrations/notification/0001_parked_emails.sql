-- Emails about orders of users of whom the replica has not heard yet. They wait for the address.
create table parked_emails (
    order_id   bigint      primary key,
    user_id    bigint      not null,
    request_id uuid        not null,
    title      text        not null,
    message    text        not null,
    parked_at  timestamptz not null default now()
);
create index parked_emails_user_id on parked_emails (user_id);
