-- Whether only the email of its order is missing, as far as recovery knows: what is pending comes first, however many wait for their
-- email. Written when an email was not handed over, and not by every order that goes well.
alter table unfinished add column decided boolean not null default false;
-- Each of the two queues in the order in which it is taken from.
create index unfinished_queue on unfinished (decided, due_at);
drop index unfinished_due;
