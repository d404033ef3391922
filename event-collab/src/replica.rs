//! A local replica of the users: what lets the services of this style do without asking. It serves reading, never authority.
//!
//! It is as fresh as the last message that arrived. A row is replaced only by a newer version, so the same messages may come
//! again: this consumer has no inbox, and the whole replica can be [rebuilt](rebuild) from the beginning of the topic.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use domain::{Recorded, UserId};
use messaging::{Event, Handler, Known, Replay, Said};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use store::StoreError;
use tokio::sync::Notify;

use crate::failure::Failure;
use crate::messages::{TYPES, UserCreationSucceeded, UserInfo, UserUpdated};
use crate::parked;

messaging::consumes! {
    /// What a replica is made of.
    pub(crate) enum Incoming of TYPES; { UserCreationSucceeded, UserUpdated }
}

impl Incoming {
    fn user(&self) -> &UserInfo {
        match self {
            Self::UserCreationSucceeded(UserCreationSucceeded { user_info })
            | Self::UserUpdated(UserUpdated { user_info }) => user_info,
        }
    }
}

/// A replica, as a consumer of messages.
pub(crate) struct Replica {
    /// In notification, where emails may wait for an address: wakes who sends them.
    pub(crate) emails: Option<Arc<Notify>>,
}

impl Handler for Replica {
    type Incoming = Incoming;
    type Fact = ();
    type Error = Failure;

    /// The version is enough.
    const INBOX: bool = false;

    /// Everything is in the message.
    async fn gather(&self, _: &Event<Incoming>) -> Result<(), Failure> {
        // Armed with `return`, it is held back: tried again and again, as while the database is away.
        fail::fail_point!("replica::received", |_| Err(sqlx::Error::PoolTimedOut.into()));
        Ok(())
    }

    async fn handle(
        &self,
        tx: &mut PgConnection,
        batch: &[&Known<Incoming, ()>],
        _: &mut Said,
    ) -> Result<(), Failure> {
        let mut newest: HashMap<UserId, &UserInfo> = HashMap::new();
        for user in batch.iter().map(|known| known.event.message.user()) {
            let known = newest.entry(user.user_id).or_insert(user);
            if user.version > known.version {
                *known = user;
            }
        }
        apply(tx, &newest.into_values().collect::<Vec<_>>()).await?;
        if self.emails.is_some() {
            let users: Vec<i64> = batch.iter().map(|known| known.event.message.user().user_id.0).collect();
            parked::release(tx, Some(users)).await?;
        }
        Ok(())
    }

    fn committed(&self) {
        if let Some(sender) = &self.emails {
            sender.notify_one();
        }
    }
}

/// Creates the table or brings it up to date.
pub(crate) async fn migrate(pool: &store::Pool) -> Result<(), StoreError> {
    let mut migrator = sqlx::migrate!("migrations/replica");
    migrator.dangerous_set_table_name("_replica_migrations");
    store::migrate(pool, &migrator).await
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
async fn apply(conn: &mut PgConnection, users: &[&UserInfo]) -> Result<(), StoreError> {
    fn column<'a, T>(users: &[&'a UserInfo], of: impl Fn(&'a UserInfo) -> T) -> Vec<T> {
        users.iter().map(|user| of(user)).collect()
    }
    sqlx::query(
        "insert into user_replica (id, username, first_name, last_name, email, phone, version)
         select * from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[])
         on conflict (id) do update set
             username = excluded.username, first_name = excluded.first_name, last_name = excluded.last_name,
             email = excluded.email, phone = excluded.phone, version = excluded.version
         where user_replica.version < excluded.version",
    )
    .bind(column(users, |user| user.user_id.0))
    .bind(column(users, |user| user.recorded.username.as_str()))
    .bind(column(users, |user| user.recorded.first_name.as_ref().map(Recorded::as_str)))
    .bind(column(users, |user| user.recorded.last_name.as_ref().map(Recorded::as_str)))
    .bind(column(users, |user| user.recorded.email.as_str()))
    .bind(column(users, |user| user.recorded.phone.as_ref().map(Recorded::as_str)))
    .bind(column(users, |user| user.version))
    .execute(conn)
    .await?;
    Ok(())
}

/// The services that have a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Owner {
    /// The order service.
    Order,
    /// The notification service.
    Notification,
}

/// Settings of a rebuild: those of the service whose replica it is.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// Whose replica.
    owner: Owner,
    #[command(flatten)]
    database: store::DatabaseSettings,
    #[command(flatten)]
    kafka: messaging::KafkaSettings,
    #[command(flatten)]
    telemetry: telemetry::Settings,
    /// Also if the topic knows fewer users than the replica does, as one does that was deleted and created anew.
    #[arg(long)]
    shrink: bool,
}

/// Replaces the replica by what the topic says from its beginning, while the service and all others go on.
///
/// Most is read before anything is locked. Then the table is locked against writing (not reading), the rest is read up to
/// where the topic ends by now, and the rows are replaced: what the service's own consumer has applied is older than that
/// end, and what it applies afterwards comes on top.
pub(crate) async fn rebuild(settings: Settings) -> anyhow::Result<()> {
    let _telemetry = telemetry::init("rebuild-replica", &settings.telemetry)?;
    let pool = settings.database.pool("rebuild-replica")?;
    let mut users: HashMap<UserId, UserInfo> = HashMap::new();
    let mut newest = |event: Event<Incoming>| {
        let user = event.message.user();
        let known = users.get(&user.user_id).map_or(0, |known| known.version);
        if user.version > known {
            users.insert(user.user_id, user.clone());
        }
    };
    let mut topic = Replay::from_beginning(&settings.kafka, "users")?;
    topic.up_to_now(&mut newest).await?;

    let mut conn = pool.acquire().await?;
    let mut tx = conn.begin().await?;
    sqlx::raw_sql("set local statement_timeout = 0; set local idle_in_transaction_session_timeout = '1min'")
        .execute(&mut *tx)
        .await?;
    sqlx::query("lock table user_replica in exclusive mode").execute(&mut *tx).await?;
    topic.up_to_now(&mut newest).await?;
    let removed = sqlx::query("delete from user_replica").execute(&mut *tx).await?.rows_affected();
    if !settings.shrink && (users.len() as u64) < removed {
        bail!("the topic knows {} users, the replica {removed}: use --shrink if that is right", users.len());
    }
    apply(&mut tx, &users.values().collect::<Vec<_>>()).await?;
    if settings.owner == Owner::Notification {
        parked::release(&mut tx, None).await?;
    }
    tx.commit().await.context("replacing the replica")?;
    tracing::info!(owner = ?settings.owner, removed, users = users.len(), "the replica is rebuilt");
    println!("rebuilt: {} users, {removed} before", users.len());
    pool.close();
    Ok(())
}
