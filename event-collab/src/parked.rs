//! Emails that wait for an address: the order's end has arrived, but the replica has not heard of the user yet. Users and
//! orders travel on different topics, so either may be first.

use domain::{OrderId, RequestId, UserId};
use serde::Serialize;
use service::Failure;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgConnection;
use sqlx::types::Json;
use store::Once;
use store::notification::NewEmail;

use crate::replica;

/// The table, for the schema of the notification service.
pub(crate) fn migrations() -> Migrator {
    let mut migrator = sqlx::migrate!("migrations/notification");
    migrator.dangerous_set_table_name("_parked_migrations");
    migrator
}

/// An email without an address.
#[derive(sqlx::FromRow, Serialize)]
pub(crate) struct Unaddressed {
    pub(crate) order_id: OrderId,
    pub(crate) user_id: UserId,
    pub(crate) request_id: RequestId,
    pub(crate) title: String,
    pub(crate) message: String,
    pub(crate) traceparent: Option<String>,
}

impl Unaddressed {
    fn to(self, address: String) -> (RequestId, NewEmail) {
        let Self { order_id, user_id, request_id, title, message, traceparent } = self;
        (
            request_id,
            NewEmail { user_id, email: address, title, message, order_id: Some(order_id), traceparent },
        )
    }
}

/// Keeps `emails` until their users are known.
async fn park(tx: &mut PgConnection, emails: &[Unaddressed]) -> Result<(), Failure> {
    tracing::info!(emails = emails.len(), "wait for the addresses of their users");
    sqlx::query(
        "insert into parked_emails (order_id, user_id, request_id, title, message, traceparent)
         select order_id, user_id, request_id, title, message, traceparent
         from jsonb_populate_recordset(null::parked_emails, $1)
         on conflict do nothing",
    )
    .bind(Json(emails))
    .execute(tx)
    .await?;
    Ok(())
}

/// Stores `emails` to be sent; parks those of which nobody knows where they go.
pub(crate) async fn address(tx: &mut PgConnection, emails: Vec<Unaddressed>) -> Result<(), Failure> {
    let homeless = enqueue(tx, emails).await?;
    if homeless.is_empty() {
        return Ok(());
    }
    // Their users may be arriving right now, in another transaction that does not see these emails. So writers of the
    // replica are waited for, and kept out until this is committed.
    sqlx::query("lock table user_replica in share mode").execute(&mut *tx).await?;
    let homeless = enqueue(tx, homeless).await?;
    park(tx, &homeless).await
}

/// Stores those of `emails` whose address is known to be sent; returns the others.
async fn enqueue(tx: &mut PgConnection, emails: Vec<Unaddressed>) -> Result<Vec<Unaddressed>, Failure> {
    let addresses = replica::addresses(tx, emails.iter().map(|email| email.user_id)).await?;
    let (mut addressed, mut homeless) = (Vec::new(), Vec::new());
    for email in emails {
        match addresses.get(&email.user_id) {
            Some(address) => addressed.push(email.to(address.clone())),
            None => homeless.push(email),
        }
    }
    let stored = store::notification::enqueue_all(tx, &addressed).await?;
    match addressed.iter().zip(stored).find(|(_, stored)| *stored == Once::Reused) {
        Some(((_, email), _)) => {
            Err(Failure::Impossible(format!("{:?} ended otherwise before", email.order_id)))
        }
        None => Ok(homeless),
    }
}

/// Stores what waited for the addresses of `users`, whom the replica knows by now.
pub(crate) async fn release(
    tx: &mut PgConnection,
    users: impl Iterator<Item = UserId>,
) -> Result<(), Failure> {
    // Of a statement that could be for all users too, the plan for all would be kept, and read the whole replica for each batch.
    let released: Vec<Unaddressed> = sqlx::query_as(
        "delete from parked_emails where user_id = any($1)
         returning order_id, user_id, request_id, title, message, traceparent",
    )
    .bind(users.map(|user| user.0).collect::<Vec<_>>())
    .fetch_all(&mut *tx)
    .await?;
    for email in released {
        let order = email.order_id.0;
        match address(tx, vec![email]).await {
            // Not the user's fault, who would have no replica because of it.
            Err(Failure::Impossible(error)) => tracing::error!(order, error, "a parked email is dropped"),
            outcome => outcome?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use std::ops::Range;

    use sandbox::Postgres;
    use store::DatabaseSettings;

    use super::*;

    /// Emails of each of a third of a million users of whom nobody has heard, and as many users who wait for none.
    const FILL: &str = "
        insert into parked_emails (order_id, user_id, request_id, title, message)
        select n, n / 3, gen_random_uuid(), 't', 'm' from generate_series(1, 1000000) n;
        insert into user_replica (id, username, email, version)
        select 1000000 + n, 'u' || n, 'a@example.org', 1 from generate_series(1, 333333) n";
    /// Those of whom it hears then.
    const HEARD: Range<i64> = 200_000..200_100;

    /// How many rows were read so far.
    async fn rows_read(conn: &mut PgConnection) -> i64 {
        // A session tells when it has time, unless it is told to.
        sqlx::query("select pg_stat_force_next_flush()").execute(&mut *conn).await.unwrap();
        let question =
            "select sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint from pg_stat_user_tables
                        where relname in ('parked_emails', 'user_replica', 'emails')";
        sqlx::query_scalar(question).fetch_one(conn).await.unwrap()
    }

    #[tokio::test]
    async fn of_a_million_parked_emails_only_those_are_read_that_are_released() {
        let postgres = Postgres::start().await.unwrap();
        let database_url = postgres.admin_url().to_string();
        let pool = DatabaseSettings { database_url, database_connections: 1 }.pool("test").unwrap();
        let mut conn = pool.acquire().await.unwrap();
        sqlx::query("set statement_timeout = '1min'").execute(&mut *conn).await.unwrap();
        for migrations in [store::notification::migrations(), migrations(), replica::migrations()] {
            migrations.run_direct(None, &mut *conn, false).await.unwrap();
        }
        // The plans for empty tables are made and kept, as in a service that has run for long.
        for _ in 0..10 {
            release(&mut conn, HEARD.map(UserId)).await.unwrap();
        }
        sqlx::raw_sql(FILL).execute(&mut *conn).await.unwrap();
        let before = rows_read(&mut conn).await;
        release(&mut conn, (1_000_001..1_000_101).map(UserId)).await.unwrap();
        let read = rows_read(&mut conn).await - before;
        assert_eq!(read, 0, "rows were read to release nothing");

        let hear = "insert into user_replica (id, username, email, version)
                    select n, 'u' || n, 'a@example.org', 1 from generate_series(200000, 200099) n";
        sqlx::query(hear).execute(&mut *conn).await.unwrap();
        let before = rows_read(&mut conn).await;
        release(&mut conn, HEARD.map(UserId)).await.unwrap();
        let read = rows_read(&mut conn).await - before;
        let sent: i64 =
            sqlx::query_scalar("select count(*) from emails").fetch_one(&mut *conn).await.unwrap();
        assert_eq!(sent, 300);
        // Each is read to be released, and so is its address.
        assert!(read <= 4 * sent, "{read} rows were read to release {sent}");
        postgres.stop().await.unwrap();
    }
}
