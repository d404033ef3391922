//! A barrier: a row that the case has locked. Whoever wants to change it waits, however slow the machine is, until the case has
//! seen what it wants to see.

use std::time::Duration;

use anyhow::ensure;
use domain::UserId;
use lab::eventually;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{Postgres, Transaction};

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
        Self::at(stage, "select from billing.accounts where user_id = $1 for update", user).await
    }

    /// In front of the profile of `user`.
    pub async fn at_profile(stage: &Stage, user: UserId) -> anyhow::Result<Self> {
        Self::at(stage, "select from billing.users where id = $1 for update", user).await
    }

    async fn at(stage: &Stage, lock: &'static str, user: UserId) -> anyhow::Result<Self> {
        let admin = PgPoolOptions::new().connect(stage.database_as_admin().as_str()).await?;
        let mut held = admin.begin().await?;
        sqlx::query(lock).bind(user.0).execute(&mut *held).await?;
        Ok(Self { admin, held })
    }

    /// Waits until so many sessions stand in front of it.
    pub async fn holds_up(&self, sessions: i64) -> Outcome {
        eventually(SOON, async || {
            let waiting: i64 = sqlx::query_scalar(
                "select count(*) from pg_stat_activity
                 where datname = current_database() and wait_event_type = 'Lock'",
            )
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
