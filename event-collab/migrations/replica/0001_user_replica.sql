-- Users as the messages on the topic `users` tell of them; billing is where they live.
create table user_replica (
    id         bigint primary key,
    username   text   not null,
    first_name text,
    last_name  text,
    email      text   not null,
    phone      text,
    -- A row is replaced only by a newer version, so that messages may come twice, late, or all again.
    version    bigint not null
);
