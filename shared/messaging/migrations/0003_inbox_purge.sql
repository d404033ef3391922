-- Our own ids are UUIDv7 and so lie in the primary key in the order of their time. Those of foreign producers are not: they are found by
-- when they came. There are few of them. (The BRIN index that was here tells nothing once pages are used a second time.)
drop index inbox_received_at;
create index inbox_foreign on inbox (consumer, received_at) where (get_byte(uuid_send(event_id), 6) >> 4) <> 7;
