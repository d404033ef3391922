-- What the orchestrator has begun and not finished. A row is written together with its pending order and deleted when the
-- order is terminal and its email handed over; a row that is due was left behind by a crash or a peer that was away.
create table unfinished (
    order_id bigint primary key,
    due_at   timestamptz not null,
    attempts int         not null default 0
);
create index unfinished_due on unfinished (due_at);
