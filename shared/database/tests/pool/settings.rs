//! What the sessions of a service are like, and how long it waits for one.

use std::time::{Duration, Instant};

use clap::Parser;
use database::{DatabaseSettings, Pool};
use sandbox::Postgres;
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::net::TcpListener;

/// How long a service waits for a connection.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    database: DatabaseSettings,
}

fn settings(url: &str, connections: &str) -> Result<DatabaseSettings, clap::Error> {
    let arguments = ["test", "--database-url", url, "--database-connections", connections];
    Settings::try_parse_from(arguments).map(|settings| settings.database)
}

#[tokio::test]
async fn a_session_is_the_services_and_bounds_what_it_may_hold_up() {
    let postgres = Postgres::start().await.unwrap();
    let pool = settings(postgres.admin_url().as_str(), "1").unwrap().pool("billing").unwrap();
    for (name, expected) in [
        ("application_name", "billing"),
        ("statement_timeout", "2s"),
        ("idle_in_transaction_session_timeout", "5s"),
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
    ] {
        let shown = sqlx::query_scalar("select current_setting($1)").bind(name);
        let shown: String = shown.fetch_one(&mut *pool.acquire().await.unwrap()).await.unwrap();
        assert_eq!(shown, expected, "{name}");
    }
    let mut apart = PgConnection::connect_with(pool.connect_options()).await.unwrap();
    let name: String = sqlx::query_scalar("show application_name").fetch_one(&mut apart).await.unwrap();
    assert_eq!(name, "billing");
    pool.close();
    postgres.stop().await.unwrap();
}

#[test]
fn what_is_no_address_is_refused_without_being_shown() {
    for url in ["ann sesame", "//ann:sesame@host/database", "postgres://ann:sesame@host:port/database"] {
        let error = settings(url, "1").unwrap().pool("test").unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("sesame"), "{shown}");
    }
    assert!(settings("postgres://host", "0").is_err());
}

#[tokio::test]
async fn a_pool_has_no_more_connections_than_it_may_and_whoever_waits_gives_up_in_time() {
    let postgres = Postgres::start().await.unwrap();
    let pool = settings(postgres.admin_url().as_str(), "2").unwrap().pool("test").unwrap();
    let both = (pool.acquire().await.unwrap(), pool.acquire().await.unwrap());
    let started = Instant::now();
    let third = pool.acquire().await.map(drop);
    assert!(matches!(third, Err(sqlx::Error::PoolTimedOut)), "{third:?}");
    let waited = started.elapsed();
    assert!((PATIENCE..5 * PATIENCE).contains(&waited), "{waited:?}");
    drop(both);
    pool.acquire().await.unwrap();
    pool.close();
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_in_time() {
    // Takes connections, and nobody reads them.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let options: PgConnectOptions = format!("postgres://ann@{address}/database").parse().unwrap();
    let started = Instant::now();
    let connection = Pool::new(options, 1).acquire().await.map(drop);
    let error = connection.unwrap_err();
    assert_eq!(database::condition(&error), "it does not answer in time");
    let waited = started.elapsed();
    assert!((PATIENCE..5 * PATIENCE).contains(&waited), "{waited:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told() {
    let options: PgConnectOptions = "postgres://ann@127.0.0.1:1/database".parse().unwrap();
    let connection = Pool::new(options, 1).acquire().await.map(drop);
    assert!(matches!(connection, Err(sqlx::Error::Io(_))), "{connection:?}");
}

#[tokio::test]
async fn a_server_that_refuses_is_told_whole_to_the_log_and_by_its_kind_to_strangers() {
    let postgres = Postgres::start().await.unwrap();
    let options: PgConnectOptions = postgres.admin_url().as_str().parse().unwrap();
    let told = async |options: PgConnectOptions| {
        let error = Pool::new(options, 1).ping().await.unwrap_err();
        (database::condition(&error), database::chain(&error))
    };
    let (kind, whole) = told(options.clone().username("nobody-here").password("guess")).await;
    assert_eq!(kind, "it refuses the role or its password");
    assert!(whole.contains("password authentication failed for user \"nobody-here\""), "{whole}");
    let (kind, whole) = told(options.database("nothing-here")).await;
    assert_eq!(kind, "the database does not exist");
    assert!(whole.contains("database \"nothing-here\" does not exist"), "{whole}");
    postgres.stop().await.unwrap();
}
