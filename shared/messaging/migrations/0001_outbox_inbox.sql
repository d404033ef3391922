-- What a service has decided to say, written in the transaction of what it tells about. The relay publishes it and deletes it.
create table outbox (
    -- The order of publication. Whoever appends holds the lock on the row that the message is about, so that the ids of one
    -- aggregate's messages follow its commits.
    id                bigint generated always as identity primary key,
    event_id          uuid        not null unique,
    topic             text        not null,
    key               text        not null,
    type              text        not null,
    subject           text        not null,
    aggregate_version bigint,
    correlation_id    uuid        not null,
    causation_id      uuid,
    -- W3C trace context of the work that said it.
    traceparent       text,
    payload           text        not null,
    created_at        timestamptz not null default now()
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000); -- rows come and go; the table stays small

-- What a consumer has handled, written in the transaction of its effect: a message that comes again has none.
create table inbox (
    consumer    text        not null,
    event_id    uuid        not null,
    received_at timestamptz not null default now(),
    primary key (consumer, event_id)
);
-- For the purge.
create index inbox_received_at on inbox using brin (received_at);
