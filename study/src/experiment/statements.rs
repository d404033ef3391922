//! SQL statements and transactions, as PostgreSQL counts them: by role with the extension `pg_stat_statements`, and a service is
//! a role.

use std::collections::BTreeMap;

use anyhow::Context as _;
use lab::running::Deployment;
use sqlx::{Connection as _, PgConnection};
use store::provision::SCHEMAS;
use url::Url;

/// What is no statement of its own but the frame of others, or a pool's question to a connection.
const CONTROL: &str =
    r"^\s*(begin|start transaction|commit|end|rollback|savepoint|release|show transaction_read_only)\M";
const COMMIT: &str = r"^\s*(commit|end)\M";

/// Counts the statements of one deployment.
pub(crate) struct Statements {
    database: Url,
    /// Roles of the services are called this and the service.
    prefix: String,
}

/// So far, or per something.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted {
    /// By service.
    pub(crate) services: BTreeMap<String, CountedOfService>,
    /// Transactions that wrote something, of everybody on the server.
    pub(crate) writing: f64,
}

/// Of one service.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CountedOfService {
    /// Statements, transaction control aside.
    pub(crate) statements: f64,
    /// Commits of transactions that were begun explicitly.
    pub(crate) commits: f64,
}

impl Counted {
    /// What came since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        self.less(earlier, 1.0)
    }

    /// Without `other`, so many times.
    pub(crate) fn less(&self, other: &Self, times: f64) -> Self {
        let services = self.services.iter().map(|(service, counted)| {
            let less = other.services.get(service).copied().unwrap_or_default();
            let statements = counted.statements - less.statements * times;
            (
                service.clone(),
                CountedOfService { statements, commits: counted.commits - less.commits * times },
            )
        });
        Self { services: services.collect(), writing: self.writing - other.writing * times }
    }

    /// For each of `parts`; never less than nothing.
    pub(crate) fn per(&self, parts: f64) -> Self {
        let share = |number: f64| (number / parts).max(0.0);
        let services = self.services.iter().map(|(service, counted)| {
            let CountedOfService { statements, commits } = *counted;
            (service.clone(), CountedOfService { statements: share(statements), commits: share(commits) })
        });
        Self { services: services.collect(), writing: share(self.writing) }
    }
}

impl Statements {
    /// A counter of `deployment`'s statements.
    ///
    /// # Errors
    /// When the server does not count: the extension is not there, or we may not create it. The reason is worth telling.
    pub(crate) async fn of(deployment: &Deployment) -> anyhow::Result<Self> {
        let (database, name) = (deployment.database_as_admin(), deployment.database_name());
        let mut connection = PgConnection::connect(database.as_str()).await?;
        // In the deployment's own database, which is dropped with it.
        sqlx::query("create extension if not exists pg_stat_statements")
            .execute(&mut connection)
            .await
            .context("create extension pg_stat_statements")?;
        connection.close().await?;
        let counter = Self { database, prefix: format!("{name}_") };
        counter.read().await.context("the server does not preload pg_stat_statements")?;
        Ok(counter)
    }

    /// What was counted so far.
    pub(crate) async fn read(&self) -> anyhow::Result<Counted> {
        let mut connection = PgConnection::connect(self.database.as_str()).await?;
        let roles: Vec<String> = SCHEMAS.iter().map(|schema| format!("{}{schema}", self.prefix)).collect();
        let rows: Vec<(String, f64, f64)> = sqlx::query_as(
            "select rolname::text, coalesce(sum(calls) filter (where query !~* $2), 0)::float8,
                    coalesce(sum(calls) filter (where query ~* $3), 0)::float8
             from pg_stat_statements join pg_roles on pg_roles.oid = userid
             where rolname = any($1) group by rolname",
        )
        .bind(roles)
        .bind(CONTROL)
        .bind(COMMIT)
        .fetch_all(&mut connection)
        .await?;
        // Every transaction that writes takes one number of this sequence, and none that only reads.
        let writing: i64 = sqlx::query_scalar("select pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
            .fetch_one(&mut connection)
            .await?;
        connection.close().await?;
        let services = rows.into_iter().map(|(role, statements, commits)| {
            (role[self.prefix.len()..].to_owned(), CountedOfService { statements, commits })
        });
        #[allow(clippy::cast_precision_loss, reason = "transaction ids stay below 2^52 here")]
        Ok(Counted { services: services.collect(), writing: writing as f64 })
    }
}
