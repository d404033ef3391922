//! A barrier: a row or a table that the case has locked. Whoever wants to change it waits, however slow the machine is, until the case has
//! seen what it wants to see.

use std::time::Duration;

use anyhow::ensure;
use domain::{OrderId, UserId};
use lab::eventually;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Postgres, Transaction};

use crate::harness::{Outcome, Stage};

/// How long others may take to get to the barrier.
const SOON: Duration = Duration::from_secs(30);

/// Holds up whoever wants to change the row, until it is lifted.
pub struct Barrier {
    admin: PgPool,
    held: Transaction<'static, Postgres>,
}

impl Barrier {
    /// In front of the account of `user`.
    pub async fn at_account(stage: &Stage, user: UserId) -> anyhow::Result<Self> {
        Self::at(stage, format!("select from billing.accounts where user_id = {user} for update")).await
    }

    /// In front of the profile of `user`.
    pub async fn at_profile(stage: &Stage, user: UserId) -> anyhow::Result<Self> {
        Self::at(stage, format!("select from billing.users where id = {user} for update")).await
    }

    /// In front of the saga of `order`.
    pub async fn at_saga(stage: &Stage, order: OrderId) -> anyhow::Result<Self> {
        Self::at(stage, format!(r#"select from "order".sagas where order_id = {order} for update"#)).await
    }

    /// In front of whatever billing would remember: it can be read, and nothing can be added.
    pub async fn at_requests(stage: &Stage) -> anyhow::Result<Self> {
        Self::at(stage, "lock table billing.requests in share row exclusive mode".to_owned()).await
    }

    /// In front of all tickets: they can be read, and not changed.
    pub async fn at_tickets(stage: &Stage) -> anyhow::Result<Self> {
        Self::at(stage, "lock table ticket.tickets in share row exclusive mode".to_owned()).await
    }

    async fn at(stage: &Stage, lock: String) -> anyhow::Result<Self> {
        let admin = PgPoolOptions::new().connect(stage.database_as_admin().as_str()).await?;
        let mut held = admin.begin().await?;
        sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut *held).await?;
        Ok(Self { admin, held })
    }

    /// Waits until so many sessions stand in front of it.
    pub async fn holds_up(&self, sessions: i64) -> Outcome {
        self.holds_up_at("", sessions).await
    }

    /// The same where others stand at other barriers: counts those with `statement` in what they ask.
    pub async fn holds_up_at(&self, statement: &str, sessions: i64) -> Outcome {
        eventually(SOON, async || {
            let waiting: i64 = sqlx::query_scalar(
                "select count(*) from pg_stat_activity
                 where datname = current_database() and wait_event_type = 'Lock' and strpos(query, $1) > 0",
            )
            .bind(statement)
            .fetch_one(&self.admin)
            .await?;
            ensure!(waiting >= sessions, "{waiting} of {sessions} sessions wait");
            Ok(())
        })
        .await
    }

    /// Lets everybody go on.
    pub async fn lift(self) -> Outcome {
        self.held.rollback().await?;
        self.admin.close().await;
        Ok(())
    }
}
