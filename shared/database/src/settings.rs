//! Where a service's tables are, and what its sessions are like.

use std::borrow::Cow;
use std::time::Duration;

use clap::Args;
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;
use tracing::log::LevelFilter;
use url::Url;

use crate::pool::Pool;

/// Where a service's tables are.
#[derive(Clone, Debug, Args)]
pub struct DatabaseSettings {
    /// The address of PostgreSQL, `postgres://role:password@host/database`. The role is the service's own, and its search path is the
    /// service's schema.
    // A string, since an error about a value of another type would show it, password and all.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: String,

    /// How many connections to PostgreSQL the pool may hold.
    #[arg(long, env = "DATABASE_CONNECTIONS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub database_connections: u32,
}

/// The address of the database cannot be used. It is not shown: it has a password.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// It does not parse, or is that of something else.
    #[error("DATABASE_URL is not an address like postgres://role:password@host/database")]
    NoAddress,
    /// Several servers, of which the one that takes writes would have to be found.
    #[error("DATABASE_URL has several hosts: name one address, which leads to the server that takes writes")]
    SeveralHosts,
    /// A parameter that nobody here reads.
    #[error("DATABASE_URL has the parameter {0}, which is not known here")]
    Parameter(String),
    /// Other sessions than those that this pool opens.
    #[error(
        "DATABASE_URL asks for target_session_attrs: only read-write and primary are possible, and always so"
    )]
    SessionAttributes,
}

/// The parameters of an address that `sqlx` reads; those that it does not know it would ignore.
const PARAMETERS: [&str; 18] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

/// libpq's name for which servers will do; `sqlx` does not have it.
const SESSION_ATTRIBUTES: &str = "target_session_attrs";

impl DatabaseSettings {
    /// A pool of connections, opened as they are needed. `service` shows in `pg_stat_activity`.
    ///
    /// # Errors
    /// When the URL is not a PostgreSQL address, or asks for something that this pool does not do.
    pub fn pool(&self, service: &str) -> Result<Pool, InvalidUrl> {
        let options = parse(&self.database_url)?
            .application_name(service)
            // A session that forgets its transaction must not hold locks for ever; a statement that waits for a lock must
            // not outlive the request that it serves.
            .options([("idle_in_transaction_session_timeout", "5s"), ("statement_timeout", "2s")])
            // A statement's plan is made once, perhaps when its tables are still empty, and then kept. Every statement here
            // looks up a few rows by their keys, so no plan may read a whole table.
            .options([("enable_seqscan", "off"), ("enable_hashjoin", "off"), ("enable_mergejoin", "off")])
            .log_statements(LevelFilter::Trace)
            .log_slow_statements(LevelFilter::Warn, Duration::from_secs(1));
        Ok(Pool::new(options, self.database_connections))
    }
}

/// As `sqlx` parses it, without what it would ignore or misunderstand.
fn parse(address: &str) -> Result<PgConnectOptions, InvalidUrl> {
    let (scheme, rest) = address.split_once("://").ok_or(InvalidUrl::NoAddress)?;
    if !["postgres", "postgresql"].contains(&scheme) {
        return Err(InvalidUrl::NoAddress);
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let hosts = authority.rsplit('@').next().unwrap_or_default();
    if hosts.contains(',') {
        return Err(InvalidUrl::SeveralHosts);
    }
    let mut url: Url = address.parse().map_err(|_| InvalidUrl::NoAddress)?;
    for (name, value) in url.query_pairs() {
        check_parameter(&name, &value)?;
    }
    let for_sqlx: Vec<(String, String)> =
        url.query_pairs().filter(|(name, _)| name != SESSION_ATTRIBUTES).map(owned).collect();
    url.query_pairs_mut().clear().extend_pairs(for_sqlx);
    PgConnectOptions::from_url(&url).map_err(|_| InvalidUrl::NoAddress)
}

fn owned((name, value): (Cow<'_, str>, Cow<'_, str>)) -> (String, String) {
    (name.into_owned(), value.into_owned())
}

fn check_parameter(name: &str, value: &str) -> Result<(), InvalidUrl> {
    match name {
        "host" | "hostaddr" | "port" if value.contains(',') => Err(InvalidUrl::SeveralHosts),
        // What every connection here is asked for.
        SESSION_ATTRIBUTES if ["read-write", "primary"].contains(&value) => Ok(()),
        SESSION_ATTRIBUTES => Err(InvalidUrl::SessionAttributes),
        name if PARAMETERS.contains(&name) => Ok(()),
        name if name.starts_with("options[") && name.ends_with(']') => Ok(()),
        // A password with a question mark in it: what follows looks like a parameter.
        name if !name.chars().all(|c| c.is_ascii_alphanumeric() || "_-[]".contains(c)) => {
            Err(InvalidUrl::NoAddress)
        }
        name => Err(InvalidUrl::Parameter(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use super::*;

    #[test]
    fn what_would_be_ignored_is_refused_by_name() {
        let refusal = |url: &str| parse(url).unwrap_err();
        for url in ["mysql://ann@host/hw", "http://host/hw", "host/hw", "postgres://ann:s?me=x@host/hw"] {
            assert_eq!(refusal(url), InvalidUrl::NoAddress, "{url}");
        }
        for several in [
            "postgres://ann:s@one:5432,two:5433/hw",
            "postgres://one,two/hw?target_session_attrs=read-write",
            "postgres:///hw?host=one,two",
            "postgres://one/hw?port=1,2",
        ] {
            assert_eq!(refusal(several), InvalidUrl::SeveralHosts, "{several}");
        }
        assert_eq!(
            refusal("postgres://host/hw?connect_timeout=3"),
            InvalidUrl::Parameter("connect_timeout".to_owned())
        );
        for other in ["any", "standby", "prefer-standby", "read-only", ""] {
            let url = format!("postgres://host/hw?target_session_attrs={other}");
            assert_eq!(refusal(&url), InvalidUrl::SessionAttributes, "{url}");
        }
    }

    #[test]
    fn what_is_known_is_taken() {
        let options = parse("postgresql://ann:a,b@host:5433/hw?sslmode=disable&options[geqo]=off").unwrap();
        assert_eq!((options.get_host(), options.get_port(), options.get_username()), ("host", 5433, "ann"));
        assert_eq!(options.get_options(), Some("-c geqo=off"));
        for always in ["read-write", "primary"] {
            parse(&format!("postgres://host/hw?target_session_attrs={always}")).unwrap();
        }
    }
}
