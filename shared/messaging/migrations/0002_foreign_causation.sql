-- The id of the message that caused this one, where a foreign producer said it and the id is no UUID; `causation_id` is null then.
-- A column of its own, since replicas of the version before read and write `causation_id` as a UUID during an upgrade.
alter table outbox add column foreign_causation_id text;
