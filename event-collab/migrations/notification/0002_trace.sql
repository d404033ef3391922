-- The trace of the order, so that the email's sending is part of it however long it waits.
alter table parked_emails add column traceparent text;
