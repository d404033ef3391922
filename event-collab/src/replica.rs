//! A local replica of the users: what lets the services of this style do without asking. It serves reading, never authority.
//!
//! It is as fresh as the last message that arrived (see [`replication`](crate::replication)).

use std::collections::HashMap;

use domain::UserId;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnection;
use sqlx::types::Json;
use store::StoreError;

use crate::messages::UserInfo;

/// The table, for the schema of a service that keeps a replica.
pub fn migrations() -> Migrator {
    let mut migrator = sqlx::migrate!("migrations/replica");
    migrator.dangerous_set_table_name("_replica_migrations");
    migrator
}

/// Which version of each user's profile the replica has; those of whom it has not heard are missing.
pub(crate) async fn versions(
    conn: &mut PgConnection,
    users: impl Iterator<Item = UserId>,
) -> Result<HashMap<UserId, i64>, StoreError> {
    let versions = sqlx::query_as("select id, version from user_replica where id = any($1)");
    let versions: Vec<(UserId, i64)> = versions.bind(ids(users)).fetch_all(conn).await?;
    Ok(versions.into_iter().collect())
}

/// Where emails to users go; those of whom the replica has not heard are missing.
pub(crate) async fn addresses(
    conn: &mut PgConnection,
    users: impl Iterator<Item = UserId>,
) -> Result<HashMap<UserId, String>, StoreError> {
    let addresses = sqlx::query_as("select id, email from user_replica where id = any($1)");
    let addresses: Vec<(UserId, String)> = addresses.bind(ids(users)).fetch_all(conn).await?;
    Ok(addresses.into_iter().collect())
}

fn ids(users: impl Iterator<Item = UserId>) -> Vec<i64> {
    users.map(|user| user.0).collect()
}

/// Writes down those of `users` of whom an older version, or nothing, is known. Each must be there once.
pub(crate) async fn apply(
    conn: &mut PgConnection,
    users: impl Iterator<Item = &UserInfo>,
) -> Result<(), StoreError> {
    sqlx::query(
        r#"insert into user_replica (id, username, first_name, last_name, email, phone, version)
           select * from jsonb_to_recordset($1) as heard ("userId" bigint, username text, "firstName" text, "lastName" text,
               email text, phone text, version bigint)
           on conflict (id) do update set
               username = excluded.username, first_name = excluded.first_name, last_name = excluded.last_name,
               email = excluded.email, phone = excluded.phone, version = excluded.version
           where user_replica.version < excluded.version"#,
    )
    .bind(Json(users.collect::<Vec<_>>()))
    .execute(conn)
    .await?;
    Ok(())
}
