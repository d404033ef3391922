-- Made of a UUID for each email, it needs no index to be unique: one less to write, three times for every email.
alter table emails drop constraint emails_message_id_key;
