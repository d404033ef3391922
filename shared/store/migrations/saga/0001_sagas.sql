-- Where each order stands on its way, in a style that keeps a saga for it: written in the transaction that stores the order, and in each that hears of it.
create table sagas (
    order_id  bigint primary key references orders,
    -- Of a booking: for which event, and the ticket once there is one.
    event_id  bigint,
    ticket_id bigint,
    -- What the saga waits for.
    state     jsonb not null,
    -- What was asked for and how far it has come, oldest first: [{step, state, at}].
    steps     jsonb not null,
    -- Where its email goes, as soon as billing has told.
    email     text,
    -- When it gives up; null when it cannot any more, and for an order without a ticket, which holds nothing of anybody's.
    due_at    timestamptz
) with (fillfactor = 50); -- room for HOT updates: most of them change no index
create index sagas_due on sagas (due_at) where due_at is not null;
