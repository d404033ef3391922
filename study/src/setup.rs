//! On what a comparison runs, and how that is set up: what has to be known before its figures mean anything.

use std::collections::BTreeMap;
use std::fs;
use std::str::FromStr;

use anyhow::Context as _;
use clap::{Args, Command};
use lab::running::SANDBOX_SETTINGS;
use sandbox::Sandbox;
use sqlx::{Connection as _, PgConnection};
use url::Url;

use crate::figures::Setup;

/// What a server's durability and speed rest on.
const POSTGRES_SETTINGS: [&str; 11] = [
    "checkpoint_timeout",
    "commit_delay",
    "default_transaction_isolation",
    "fsync",
    "full_page_writes",
    "max_connections",
    "max_wal_size",
    "shared_buffers",
    "synchronous_commit",
    "wal_level",
    "wal_sync_method",
];

/// Looks around.
pub(crate) async fn of(sandbox: &Sandbox) -> anyhow::Result<Setup> {
    let broker = if sandbox.kafka.is_in_memory() {
        format!("{}, librdkafka {}", sandbox.kafka.describe(), rdkafka::util::get_rdkafka_version().1)
    } else {
        sandbox.kafka.describe()
    };
    let machine = std::env::var("STUDY_MACHINE").ok().filter(|name| !name.is_empty());
    let kernel = |what: &str| line(&format!("/proc/sys/kernel/{what}"));
    Ok(Setup {
        machine: machine.or_else(|| kernel("hostname")).unwrap_or_else(|| "unknown".to_owned()),
        processor: field("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_bytes: memory_bytes(),
        system: match (kernel("ostype"), kernel("osrelease")) {
            (Some(kind), Some(version)) => format!("{kind} {version}"),
            _ => std::env::consts::OS.to_owned(),
        },
        postgres: sandbox.postgres.describe(),
        postgres_settings: postgres_settings(sandbox.postgres.admin_url()).await?,
        broker,
        broker_in_memory: sandbox.kafka.is_in_memory(),
        partitions: default_of::<messaging::KafkaSettings, _>("kafka_partitions").unwrap_or(0),
        database_connections: default_of::<store::DatabaseSettings, _>("database_connections").unwrap_or(0),
        settings: SANDBOX_SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        without_statements: None,
        without_limit: None,
        traces_sampled: 0.0,
    })
}

/// As the server tells them, units included.
async fn postgres_settings(admin: &Url) -> anyhow::Result<BTreeMap<String, String>> {
    let mut server =
        PgConnection::connect(admin.as_str()).await.context("asking for PostgreSQL's settings")?;
    let settings: Vec<(String, String)> =
        sqlx::query_as("select name, current_setting(name) from pg_settings where name = any($1)")
            .bind(POSTGRES_SETTINGS.map(str::to_owned).to_vec())
            .fetch_all(&mut server)
            .await?;
    server.close().await?;
    Ok(settings.into_iter().collect())
}

/// The default of a setting in the group `S`. Services do not inherit our environment.
fn default_of<S: Args, T: FromStr>(setting: &str) -> Option<T> {
    let group = S::augment_args(Command::new("settings"));
    let argument = group.get_arguments().find(|argument| argument.get_id() == setting)?;
    argument.get_default_values().first()?.to_str()?.parse().ok()
}

fn memory_bytes() -> u64 {
    let kib =
        field("/proc/meminfo", "MemTotal").and_then(|text| text.strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// The first `name : value` of a file as Linux writes them.
fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
}

fn line(file: &str) -> Option<String> {
    Some(fs::read_to_string(file).ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_of_services_are_found_by_name() {
        assert_eq!(default_of::<messaging::KafkaSettings, i32>("kafka_partitions"), Some(6));
        assert_eq!(default_of::<store::DatabaseSettings, u32>("database_connections"), Some(10));
        assert_eq!(default_of::<store::DatabaseSettings, u32>("no_such_setting"), None);
    }
}
