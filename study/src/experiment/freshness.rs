//! How fresh replicas are under load, and what orders do with an old value: profiles are changed, replicas watched, and the
//! same users order meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use domain::UserId;
use reqwest::StatusCode;
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use tokio::time::sleep;

use super::distribution::Distribution;
use super::fates::{self, Fate};
use super::orders::{Clients, Placed, now_s};
use super::stage::Stage;
use crate::figures::FreshnessFigures;

/// Profile changes that are followed.
const CHANGES: usize = 60;
/// Users whose profiles change in turns.
const USERS: usize = 12;
/// Orders of everybody else, each second: the load.
const BACKGROUND_PER_S: f64 = 30.0;
/// Orders of the user whose profile has just changed, each second, until every replica has it.
const ORDERS_PER_S: f64 = 100.0;
/// How often replicas are looked at.
const LOOK: Duration = Duration::from_millis(1);
/// How long a replica may lag.
const BEHIND_MAX: Duration = Duration::from_secs(30);
/// How long the last email may take: those of the load are before it.
const EMAILS_MAX: Duration = Duration::from_mins(5);
/// Who keeps a replica of users.
const OWNERS: [&str; 2] = ["order", "notification"];

/// One profile change.
struct Change {
    /// The version that the answer told.
    version: i64,
    /// The address until then.
    old_address: String,
    /// From the answer until each replica had it, in seconds, as in [`OWNERS`].
    behind_s: [f64; 2],
    /// When the last replica had it, in seconds since 1970.
    seen_at_s: f64,
    /// What its user ordered from the answer on.
    placed: Vec<Placed>,
}

/// Changes profiles while orders go on.
pub(crate) async fn measure(stage: &Stage, seed: u64) -> anyhow::Result<FreshnessFigures> {
    let mut clients = Clients::new(&stage.api, seed).await?;
    let (stop, mut background) = (Arc::new(AtomicBool::new(false)), clients.fork());
    let stopped = Arc::clone(&stop);
    let load = tokio::spawn(async move {
        background.open(BACKGROUND_PER_S, move |_| !stopped.load(Ordering::Relaxed)).await
    });
    let changes = change_profiles(stage, &mut clients).await;
    // Also after an error: the load would go on for ever.
    stop.store(true, Ordering::Relaxed);
    let (changes, load) = (changes?, load.await??);
    ensure!(load.iter().all(Placed::is_acknowledged), "an order of the load was refused");
    sum_up(stage, &changes).await
}

async fn change_profiles(stage: &Stage, clients: &mut Clients) -> anyhow::Result<Vec<Change>> {
    let mut database = PgConnection::connect(stage.deployment.addresses.auditor.as_str()).await?;
    let mut users = Vec::new();
    for _ in 0..USERS {
        let user = stage.api.create_user_with(i64::from(u32::MAX)).await?;
        let profile = stage.api.get(&format!("billing/user/{user}")).await?;
        let address = profile.body["email"].as_str().context("no address")?.to_owned();
        users.push((user, address));
    }
    let mut changes = Vec::with_capacity(CHANGES);
    for number in 0..CHANGES {
        let (user, address) = &mut users[number % USERS];
        let new_address = format!("changed-{number}-{user}@example.org");
        let old_address = std::mem::replace(address, new_address.clone());
        changes.push(change(stage, &mut database, clients, *user, old_address, &new_address).await?);
    }
    database.close().await?;
    Ok(changes)
}

async fn change(
    stage: &Stage,
    database: &mut PgConnection,
    clients: &mut Clients,
    user: UserId,
    old_address: String,
    new_address: &str,
) -> anyhow::Result<Change> {
    let profile = json!({"email": new_address, "firstName": "Ann", "lastName": "Petrova"});
    let reply = stage.api.update_profile(user, &profile, &[]).await?;
    let answered = (Instant::now(), now_s());
    ensure!(reply.status == StatusCode::OK, "changing a profile: {} {}", reply.status, reply.body);
    let version = reply.body["version"].as_i64().context("no version")?;

    let everybody_has_it = Arc::new(AtomicBool::new(false));
    let (mut user_alone, seen) = (clients.only_for(user), Arc::clone(&everybody_has_it));
    let orders =
        tokio::spawn(
            async move { user_alone.open(ORDERS_PER_S, move |_| !seen.load(Ordering::Relaxed)).await },
        );
    let behind = watch_replicas(database, user, version, answered.0).await;
    everybody_has_it.store(true, Ordering::Relaxed);
    let (behind_s, placed) = (behind?, orders.await??);
    let seen_at_s = answered.1 + behind_s.into_iter().fold(0.0, f64::max);
    Ok(Change { version, old_address, behind_s, seen_at_s, placed })
}

/// How long after `answered` each replica had `version` of `user`, in seconds.
async fn watch_replicas(
    database: &mut PgConnection,
    user: UserId,
    version: i64,
    answered: Instant,
) -> anyhow::Result<[f64; 2]> {
    let mut behind = [None; 2];
    loop {
        let versions: (Option<i64>, Option<i64>) = sqlx::query_as(
            r#"select (select version from "order".user_replica where id = $1),
                      (select version from notification.user_replica where id = $1)"#,
        )
        .bind(user)
        .fetch_one(&mut *database)
        .await?;
        let after_s = answered.elapsed().as_secs_f64();
        for (behind, seen) in behind.iter_mut().zip([versions.0, versions.1]) {
            if behind.is_none() && seen.is_some_and(|seen| seen >= version) {
                *behind = Some(after_s);
            }
        }
        if let [Some(order), Some(notification)] = behind {
            return Ok([order, notification]);
        }
        if answered.elapsed() > BEHIND_MAX {
            bail!("replicas are at {versions:?} and not at {version} after {BEHIND_MAX:?}");
        }
        sleep(LOOK).await;
    }
}

async fn sum_up(stage: &Stage, changes: &[Change]) -> anyhow::Result<FreshnessFigures> {
    let auditor = &stage.deployment.addresses.auditor;
    let (mut in_window, mut with_old_value) = (0, 0);
    for change in changes {
        let fates = fates::settled(auditor, &change.placed, EMAILS_MAX).await?;
        for order in change.placed.iter().filter(|order| order.due_at_s < change.seen_at_s) {
            in_window += 1;
            with_old_value += u64::from(fates.get(&order.request).is_some_and(|fate| change.is_old(fate)));
        }
    }
    let owners = OWNERS.iter().enumerate().map(|(at, owner)| {
        let behind = Distribution::of(changes.iter().map(|change| change.behind_s[at]));
        ((*owner).to_owned(), behind.quantiles())
    });
    Ok(FreshnessFigures {
        changes: changes.len() as u64,
        replica_behind: owners.collect::<BTreeMap<_, _>>(),
        orders_in_window: in_window,
        orders_with_old_value: with_old_value,
    })
}

impl Change {
    /// Whether an order used what was true before.
    fn is_old(&self, order: &Fate) -> bool {
        order.user_version.is_some_and(|version| version < self.version)
            || order.address.as_ref() == Some(&self.old_address)
    }
}
