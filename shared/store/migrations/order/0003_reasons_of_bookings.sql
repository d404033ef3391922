-- An order with a ticket may end for more reasons.
alter table orders drop constraint orders_reason_check;
alter table orders add constraint orders_reason_check check (reason in (
    'insufficient-funds', 'account-not-found', 'sold-out', 'event-not-found', 'cancelled', 'timed-out'));
