-- The topic on which a command is to be answered, without the installation's prefix; null for everything that is no command.
alter table outbox add column reply_to text;
