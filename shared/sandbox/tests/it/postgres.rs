//! A private server: usable, durable, isolated, restartable, and gone afterwards in every case.

use std::{
    env, fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use sandbox::{Postgres, Sandbox};
use sqlx::{Connection, PgConnection};
use url::Url;

use crate::{eventually, listens};

/// Set in the child process of the crash test: the file it reports to.
const REPORT_TO: &str = "SANDBOX_TEST_REPORT_TO";

async fn connect(url: &Url) -> sqlx::Result<PgConnection> {
    PgConnection::connect(url.as_str()).await
}

async fn ask(url: &Url, query: &'static str) -> sqlx::Result<String> {
    sqlx::query_scalar(query).fetch_one(&mut connect(url).await?).await
}

#[tokio::test]
async fn a_private_server_is_durable_and_leaves_nothing() {
    let postgres = Postgres::start_private().await.unwrap();
    let url = postgres.admin_url().clone();
    let directory = postgres.directory().unwrap().to_owned();

    assert!(postgres.is_private());
    assert_eq!(ask(&url, "select 'one'").await.unwrap(), "one");
    for setting in ["show fsync", "show synchronous_commit", "show full_page_writes"] {
        assert_eq!(ask(&url, setting).await.unwrap(), "on");
    }
    assert!(ask(&url, "show server_version").await.unwrap().starts_with(postgres.version()));
    let description = format!("PostgreSQL {}, private cluster, fsync=on", postgres.version());
    assert_eq!(postgres.describe(), description);
    assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);

    postgres.stop().await.unwrap();
    assert!(!directory.exists());
    assert!(!listens(&url));
}

#[tokio::test]
async fn a_role_needs_its_password() {
    let postgres = Postgres::start_private().await.unwrap();
    let mut stranger = postgres.admin_url().clone();
    stranger.set_password(Some("guess")).unwrap();
    let error = connect(&stranger).await.unwrap_err();
    assert!(error.to_string().contains("password authentication failed"), "{error}");
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn committed_data_survive_a_kill_and_the_server_comes_back_on_its_port() {
    let mut postgres = Postgres::start_private().await.unwrap();
    let url = postgres.admin_url().clone();
    let mut connection = connect(&url).await.unwrap();
    sqlx::query("create table kept as select 'still here' as word").execute(&mut connection).await.unwrap();

    postgres.kill().await.unwrap();
    assert!(!listens(&url));
    assert!(sqlx::query("select 1").execute(&mut connection).await.is_err());

    postgres.restart().await.unwrap();
    assert_eq!(postgres.admin_url(), &url);
    assert_eq!(ask(&url, "select word from kept").await.unwrap(), "still here");
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn servers_side_by_side_are_strangers() {
    let (one, two) = tokio::try_join!(Postgres::start_private(), Postgres::start_private()).unwrap();
    let mut mixed = one.admin_url().clone();
    mixed.set_port(two.admin_url().port()).unwrap();
    assert!(connect(&mixed).await.is_err());

    one.stop().await.unwrap();
    assert_eq!(ask(two.admin_url(), "select 'alive'").await.unwrap(), "alive");
    two.stop().await.unwrap();
}

#[tokio::test]
async fn a_dropped_server_is_cleaned_up() {
    let postgres = Postgres::start_private().await.unwrap();
    let url = postgres.admin_url().clone();
    let directory = postgres.directory().unwrap().to_owned();
    drop(postgres);
    eventually("the directory is gone and the port closed", || !directory.exists() && !listens(&url)).await;
}

#[tokio::test]
async fn kill_9_leaves_nothing() {
    let exchange = tempfile::tempdir().unwrap();
    let report = exchange.path().join("report");
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "postgres::in_the_child_process_of_the_crash_test"])
        .env(REPORT_TO, &report)
        .env_remove("DATABASE_URL")
        .env_remove("SMTP_URL")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    eventually("the child has started its sandbox", || report.exists()).await;
    let report = fs::read_to_string(report).unwrap();
    let [url, cluster, mail] = report.lines().collect::<Vec<_>>()[..] else { panic!("{report}") };
    let (url, cluster, mail) = (Url::parse(url).unwrap(), Path::new(cluster), Path::new(mail));
    assert!(cluster.exists() && mail.exists() && listens(&url));

    child.kill().unwrap();
    child.wait().unwrap();
    eventually("the cluster is gone", || !cluster.exists() && !listens(&url)).await;
    eventually("the mail is gone", || !mail.exists()).await;
}

/// Not a test by itself.
#[tokio::test]
async fn in_the_child_process_of_the_crash_test() {
    let Some(report) = env::var_os(REPORT_TO).map(PathBuf::from) else {
        return;
    };
    let sandbox = Sandbox::start().await.unwrap();
    let url = sandbox.postgres.admin_url();
    let cluster = sandbox.postgres.directory().unwrap().display();
    let mail = sandbox.directory().display();
    let unfinished = report.with_extension("part");
    fs::write(&unfinished, format!("{url}\n{cluster}\n{mail}\n")).unwrap();
    fs::rename(unfinished, report).unwrap();
    // Held until the kill; should the parent fail before it, this ends as well.
    io::read_to_string(io::stdin()).unwrap();
}

#[tokio::test]
async fn a_switchover_loses_nothing_and_leads_to_a_standby_until_the_address_moves() {
    let mut postgres = Postgres::start_with_standby().await.unwrap();
    let address = postgres.admin_url().clone();
    let directory = postgres.directory().unwrap().to_owned();
    assert_eq!(ask(&address, "select pg_is_in_recovery()::text").await.unwrap(), "false");
    let standby = postgres.standby_url().unwrap();
    assert_eq!(ask(&standby, "select pg_is_in_recovery()::text").await.unwrap(), "true");
    let mut connection = connect(&address).await.unwrap();
    sqlx::query("create table kept (word text)").execute(&mut connection).await.unwrap();

    for word in ["there", "and back"] {
        let mut connection = connect(&address).await.unwrap();
        sqlx::query("insert into kept values ($1)").bind(word).execute(&mut connection).await.unwrap();
        let look = async {
            loop {
                if let Ok(mut late) = connect(&address).await
                    && sqlx::query_scalar::<_, bool>("select pg_is_in_recovery()")
                        .fetch_one(&mut late)
                        .await
                        .unwrap_or(false)
                {
                    return late;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let (switched, mut late) = tokio::time::timeout(Duration::from_mins(1), async {
            tokio::join!(postgres.switch_over(Duration::from_secs(1)), look)
        })
        .await
        .unwrap();
        switched.unwrap();
        // Who is connected to the old primary stays so.
        assert!(sqlx::query("insert into kept values ('late')").execute(&mut late).await.is_err());
        assert_eq!(ask(&address, "select pg_is_in_recovery()::text").await.unwrap(), "false");
    }
    assert_eq!(ask(&address, "select string_agg(word, ' ') from kept").await.unwrap(), "there and back");

    postgres.kill().await.unwrap();
    assert!(connect(&address).await.is_err());
    postgres.restart().await.unwrap();
    assert_eq!(ask(&address, "select string_agg(word, ' ') from kept").await.unwrap(), "there and back");
    let standby = postgres.standby_url().unwrap();
    postgres.stop().await.unwrap();
    assert!(!directory.exists() && !listens(&address) && !listens(&standby));
}
