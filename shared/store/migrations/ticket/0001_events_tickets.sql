-- The ticket service owns events and their seats.

create table events (
    id       bigint primary key,
    capacity bigint not null check (capacity between 0 and 1000000),
    -- Every seat is free, reserved or sold, at every moment: whoever would sell one twice violates a constraint.
    free     bigint not null check (free >= 0),
    reserved bigint not null default 0 check (reserved >= 0),
    sold     bigint not null default 0 check (sold >= 0),
    constraint events_seats_add_up check (free + reserved + sold = capacity)
) with (fillfactor = 50); -- room for HOT updates: the numbers change, no index does

create table tickets (
    id         bigint generated always as identity primary key,
    -- One ticket per order, however often it is asked for.
    order_id   bigint      not null constraint tickets_order_id_key unique,
    -- Null in a tombstone: the release came before the reservation, which is then refused.
    event_id   bigint,
    state      text        not null check (state in ('reserved', 'sold', 'released', 'refused')),
    refusal    text        check (refusal in ('sold-out', 'event-not-found')),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    check ((state = 'refused') = (refusal is not null)),
    check (event_id is not null or state = 'released')
);
