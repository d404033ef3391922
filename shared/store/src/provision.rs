//! Who may see what: a schema and a role per service, and one auditor who sees all and changes nothing.

use std::collections::BTreeMap;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use url::Url;

use crate::StoreError;

/// The services that own tables in every style; also the names of their schemas.
pub const SCHEMAS: [&str; 3] = ["billing", "order", "notification"];

/// One database with its roles. Each URL carries its role's password; the role carries the search path.
#[derive(Clone, Debug)]
pub struct Databases {
    /// The database's name; the names of its roles start with it, since roles belong to the whole server.
    pub name: String,
    /// For each service that owns tables, by its name.
    pub services: BTreeMap<&'static str, Url>,
    /// Reads every schema, writes none: for the consistency checker.
    pub auditor: Url,
}

/// Creates database `name` with a schema and a role for each of `services`.
///
/// `admin` may create databases and roles. `password` is used for all roles; `name`, `password` and the services must be plain
/// lowercase words (they are written into statements that take no parameters).
pub async fn create(
    admin: &Url,
    name: &str,
    password: &str,
    services: &[&'static str],
) -> Result<Databases, StoreError> {
    for word in services.iter().copied().chain([name, password]) {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        assert!(!word.is_empty() && word.chars().all(plain), "{word:?} is not a plain word");
    }
    let mut server = PgConnection::connect(admin.as_str()).await?;
    run(&mut server, format!("create database {name}")).await?;
    server.close().await?;

    let mut within = admin.clone();
    within.set_path(name);
    let mut database = PgConnection::connect(within.as_str()).await?;
    let auditor = format!("{name}_auditor");
    run(&mut database, format!("create role {auditor} login password '{password}'")).await?;
    run(&mut database, format!("alter role {auditor} set default_transaction_read_only = on")).await?;
    run(&mut database, format!("grant pg_monitor to {auditor}")).await?;
    run(&mut database, format!("revoke all on database {name} from public")).await?;
    run(&mut database, format!("grant connect on database {name} to {auditor}")).await?;
    run(&mut database, "revoke all on schema public from public".to_owned()).await?;
    for schema in services {
        let role = format!("{name}_{schema}");
        run(&mut database, format!("create role {role} login password '{password}'")).await?;
        run(&mut database, format!("grant connect on database {name} to {role}")).await?;
        // A member of the role may give it a schema; a superuser needs no grant, an owner of DATABASE_URL may.
        run(&mut database, format!("grant {role} to current_user")).await?;
        run(&mut database, format!("create schema \"{schema}\" authorization {role}")).await?;
        run(&mut database, format!("alter role {role} set search_path = \"{schema}\"")).await?;
        run(&mut database, format!("grant usage on schema \"{schema}\" to {auditor}")).await?;
        run(
            &mut database,
            format!(
                "alter default privileges for role {role} in schema \"{schema}\" grant select on tables to {auditor}"
            ),
        )
        .await?;
    }
    database.close().await?;
    let url = |service: &str| as_role(&within, &format!("{name}_{service}"), password);
    let auditor = url("auditor");
    let services = services.iter().map(|&service| (service, url(service))).collect();
    Ok(Databases { name: name.to_owned(), services, auditor })
}

/// Drops what [`create`] made, cutting off whoever is still connected.
pub async fn drop_all(admin: &Url, databases: &Databases) -> Result<(), StoreError> {
    let mut server = PgConnection::connect(admin.as_str()).await?;
    let name = &databases.name;
    run(&mut server, format!("drop database if exists {name} with (force)")).await?;
    for role in databases.services.keys().copied().chain(["auditor"]) {
        run(&mut server, format!("drop role if exists {name}_{role}")).await?;
    }
    server.close().await?;
    Ok(())
}

fn as_role(database: &Url, role: &str, password: &str) -> Url {
    let mut url = database.clone();
    url.set_username(role)
        .and_then(|()| url.set_password(Some(password)))
        .expect("a database URL has a host");
    url
}

async fn run(connection: &mut PgConnection, statement: String) -> Result<(), StoreError> {
    // Safe: every name in it was checked to be a plain word.
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await?;
    Ok(())
}
