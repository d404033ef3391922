-- The money of an order may go back: once, since the ledger has at most one entry of a kind for each order.
alter table ledger drop constraint ledger_kind_check;
alter table ledger add constraint ledger_kind_check check (kind in ('deposit', 'withdrawal', 'refund'));
