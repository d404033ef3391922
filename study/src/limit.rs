//! What PostgreSQL alone can do: `pgbench` running the four single-statement transactions of one order, on the same server and
//! on the same tables. Throughput is told as a ratio to it, since both go up and down with the machine.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use sandbox::Postgres;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use store::provision::{self, Databases, SCHEMAS};
use tempfile::NamedTempFile;
use tokio::process::Command;
use url::Url;

/// Clients of `pgbench` at a time.
pub(crate) const CLIENTS: u32 = 16;
/// Its threads.
const THREADS: u32 = 2;
/// Accounts among which orders are spread.
const ACCOUNTS: usize = lab::driving::load::USERS;

/// One order: stored, paid, settled, and told about. Each statement is a transaction.
const ORDER: &str = r#"
\set user random(1, :accounts)
\set price random(1, 100)
insert into "order".orders (request_id, user_id, price) values (gen_random_uuid(), :user, :price) returning id \gset
update billing.accounts set balance = balance - :price where user_id = :user and balance >= :price;
update "order".orders set status = 'paid', version = version + 1, updated_at = now() where id = :id and status = 'pending';
insert into notification.emails (request_id, user_id, email, title, message, order_id, kind, message_id) values (gen_random_uuid(), :user, 'ann@example.org', 'Order is paid', 'Your order is paid.', :id, 'order-outcome', gen_random_uuid()::text);
"#;

/// A database of its own to measure on.
pub(crate) struct Limit {
    pgbench: PathBuf,
    admin: Url,
    databases: Databases,
    script: NamedTempFile,
}

impl Limit {
    /// Creates the tables, by the services' own migrations.
    ///
    /// # Errors
    /// When there is no `pgbench`, or the database fails.
    pub(crate) async fn prepare(postgres: &Postgres) -> anyhow::Result<Self> {
        // The PostgreSQL that the sandbox fetches comes without it.
        let pgbench = postgres.client_program("pgbench").context(
            "the limit is measured with pgbench, which is not here (Debian's package `postgresql` has it)",
        )?;
        let admin = postgres.admin_url().clone();
        let unique = uuid::Uuid::new_v4().simple().to_string();
        let databases =
            provision::create(&admin, &format!("hw_limit_{}", &unique[..8]), &unique[8..], &SCHEMAS).await?;
        let migrated = async {
            let pool = |schema| anyhow::Ok(store::Pool::new(databases.services[schema].as_str().parse()?, 1));
            let (billing, order, notification) = (pool("billing")?, pool("order")?, pool("notification")?);
            store::migrate(&billing, &store::billing::migrations()).await?;
            store::migrate(&order, &store::order::migrations()).await?;
            store::migrate(&notification, &store::notification::migrations()).await?;
            [billing, order, notification].iter().for_each(store::Pool::close);
            anyhow::Ok(())
        };
        migrated.await.context("creating the tables of the limit")?;
        let script = NamedTempFile::new()?;
        std::fs::write(script.path(), ORDER)?;
        let limit = Self { pgbench, admin, databases, script };
        limit.fill().await?;
        Ok(limit)
    }

    async fn fill(&self) -> anyhow::Result<()> {
        let mut database = PgConnection::connect(self.url().as_str()).await?;
        let users = format!(
            "insert into billing.users (username, password_hash, email)
                 select 'user' || n, '', 'user' || n || '@example.org' from generate_series(1, {ACCOUNTS}) n;
             insert into billing.accounts (user_id, balance) select id, 1000000000000 from billing.users;"
        );
        sqlx::raw_sql(AssertSqlSafe(users)).execute(&mut database).await?;
        database.close().await?;
        Ok(())
    }

    /// Runs `pgbench` for a while; says how many orders per second it managed.
    ///
    /// # Errors
    /// When it fails, or says something that cannot be understood.
    pub(crate) async fn run(&self, duration: Duration) -> anyhow::Result<f64> {
        let output = Command::new(&self.pgbench)
            .args(["--no-vacuum", "--protocol=prepared"])
            .args([format!("--client={CLIENTS}"), format!("--jobs={THREADS}")])
            .arg(format!("--time={}", duration.as_secs().max(1)))
            .arg(format!("--define=accounts={ACCOUNTS}"))
            .arg("--file")
            .arg(self.script.path())
            .arg(self.url().as_str())
            .output()
            .await
            .context("running pgbench")?;
        let (told, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "pgbench: {errors}");
        let line = told.lines().find(|line| line.starts_with("tps = "));
        let rate = line.and_then(|line| line.split_whitespace().nth(2)?.parse().ok());
        rate.with_context(|| format!("pgbench does not tell a rate: {told}"))
    }

    /// Drops the database.
    pub(crate) async fn remove(self) -> anyhow::Result<()> {
        provision::drop_all(&self.admin, &self.databases).await.context("dropping the limit's database")
    }

    /// As somebody who may write everything.
    fn url(&self) -> Url {
        let mut url = self.admin.clone();
        url.set_path(&self.databases.name);
        url
    }
}
