//! How a replica of the users is kept: a consumer that applies what it hears, and a rebuild from the beginning of the topic.
//!
//! A row is replaced only by a newer version, so the same messages may come again: the consumer has no inbox, and the whole
//! replica can be [rebuilt](rebuild) while it goes on.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use domain::UserId;
use messaging::{Event, Handler, Known, Replay, Said};
use service::Failure;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::sync::Notify;

use crate::messages::{TYPES, UserCreationSucceeded, UserInfo, UserUpdated};
use crate::parked;
use crate::replica::apply;

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
        let mut users = Newest::new();
        for known in batch {
            keep_newest(&mut users, known.event.message.user());
        }
        apply(tx, users.values()).await?;
        if self.emails.is_some() {
            parked::release(tx, users.keys().copied()).await?;
        }
        Ok(())
    }

    fn committed(&self) {
        if let Some(sender) = &self.emails {
            sender.notify_one();
        }
    }
}

/// The newest of what was said of each user.
type Newest = HashMap<UserId, UserInfo>;

fn keep_newest(users: &mut Newest, user: &UserInfo) {
    if users.get(&user.user_id).is_none_or(|known| known.version < user.version) {
        users.insert(user.user_id, user.clone());
    }
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
    /// The service whose replica is rebuilt.
    owner: Owner,
    #[command(flatten)]
    database: store::DatabaseSettings,
    #[command(flatten)]
    kafka: messaging::KafkaSettings,
    #[command(flatten)]
    telemetry: telemetry::Settings,
    /// Rebuilds even if the replica loses users. The topic knows fewer users than the replica when it was created again.
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
    let mut users = Newest::new();
    let mut newest = |event: Event<Incoming>| keep_newest(&mut users, event.message.user());
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
        bail!("the topic knows {} users, the replica {removed}: give --shrink to lose users", users.len());
    }
    apply(&mut tx, users.values()).await?;
    if settings.owner == Owner::Notification {
        parked::release(&mut tx, users.keys().copied()).await?;
    }
    tx.commit().await.context("replacing the replica")?;
    tracing::info!(owner = ?settings.owner, removed, users = users.len(), "the replica is rebuilt");
    println!("rebuilt: {} users, {removed} before", users.len());
    pool.close();
    Ok(())
}
