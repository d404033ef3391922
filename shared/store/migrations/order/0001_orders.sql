-- The order service owns orders.

create table orders (
    id           bigint generated always as identity primary key,
    -- The client's request. Unique, so that a repeated request finds its order instead of making a second.
    request_id   uuid        not null constraint orders_request_id_key unique,
    user_id      bigint      not null,
    price        bigint      not null check (price > 0),
    status       text        not null default 'pending' check (status in ('pending', 'paid', 'rejected')),
    reason       text        check (reason in ('insufficient-funds', 'account-not-found')),
    -- Styles with a replica of users record which version of the profile the order was taken with.
    user_version bigint,
    version      bigint      not null default 1,
    created_at   timestamptz not null default now(),
    updated_at   timestamptz not null default now(),
    check ((status = 'rejected') = (reason is not null))
);
create index orders_user_id on orders (user_id, id);
