-- The W3C trace context in which the email was stored, so that its sending is part of the same trace.
alter table emails add column traceparent text;
