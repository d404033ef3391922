-- Billing owns users, their accounts, and the ledger of every movement.

create table users (
    id            bigint generated always as identity primary key,
    username      text        not null,
    password_hash text        not null,
    first_name    text,
    last_name     text,
    email         text        not null,
    phone         text,
    -- Version of the profile; replicas apply an update only if its version is newer.
    version       bigint      not null default 1,
    created_at    timestamptz not null default now()
);
-- Two people cannot be told apart by case.
create unique index users_username_key on users (lower(username));
create unique index users_email_key on users (lower(email));

-- Apart from `users`, so that a deposit does not wait for a profile update, and a row that is written by every order stays small.
create table accounts (
    user_id bigint primary key references users,
    -- Not negative, not even for a moment; and exact in every JSON parser (2^53-1).
    balance bigint not null default 0 check (balance between 0 and 9007199254740991)
) with (fillfactor = 50); -- room for HOT updates: the balance changes, no index does

create table ledger (
    id            bigint generated always as identity primary key,
    user_id       bigint      not null references accounts,
    kind          text        not null check (kind in ('deposit', 'withdrawal')),
    amount        bigint      not null check (amount > 0),
    balance_after bigint      not null,
    order_id      bigint,
    created_at    timestamptz not null default now(),
    -- At most one withdrawal per order, whatever goes wrong elsewhere.
    constraint ledger_order_kind_key unique (order_id, kind)
);
create index ledger_user_id on ledger (user_id);

-- Every request with an effect, what was asked and how it ended: the same request gets the same outcome again.
-- The row is inserted first, so that a repeat that runs at the same time waits for the first to commit.
create table requests (
    request_id uuid primary key,
    operation  text        not null,
    asked      jsonb       not null,
    outcome    jsonb,
    created_at timestamptz not null default now()
);
