//! Replicas: behind, ahead, told the same again, spoilt and rebuilt.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use lab::{Invariant, Service, eventually};
use reqwest::StatusCode;
use serde_json::json;
use sqlx::postgres::PgPool;
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::harness::{Outcome, Stage, Suite, cases};
use crate::wire::{Wire, header};

const SOON: Duration = Duration::from_secs(30);
/// Emails of users of whom nobody hears, and users who have no email.
const BYSTANDERS: i64 = 100_000;
const FILL: &str = "
    insert into notification.parked_emails (order_id, user_id, request_id, title, message)
    select n, n / 3, gen_random_uuid(), 't', 'm' from generate_series(3000001, 3100000) n;
    insert into notification.user_replica (id, username, email, version)
    select n, 'u' || n, 'a@example.org', 1 from generate_series(2000001, 2100000) n";
const EMPTY: &str = "
    delete from notification.parked_emails where user_id >= 1000000;
    delete from notification.user_replica where id >= 1000000";

pub fn register(suite: &mut Suite) {
    cases!(
        suite,
        "replicas",
        where |features| features.has_replicas,
        [
            an_order_before_its_user_is_known_is_decided_and_its_email_waits_for_the_address,
            what_was_said_earlier_does_not_undo_what_was_said_later,
            a_spoilt_replica_is_rebuilt_while_traffic_goes_on,
            of_many_parked_emails_and_users_only_those_are_read_that_are_heard_of,
        ]
    );
}

async fn an_order_before_its_user_is_known_is_decided_and_its_email_waits_for_the_address(
    stage: &mut Stage,
) -> Outcome {
    stage.check_at_rest().await?;
    let owners = [Service::Order, Service::Notification];
    for service in owners {
        stage.deployment.arm(service, "replica::received", "return").await?;
    }
    let user = stage.api.create_user_with(100).await?;
    let reply = stage.api.order(user, 60, &[]).await?;
    ensure!(reply.status == StatusCode::CREATED, "{reply:?}");
    let auditor = PgPool::connect(stage.deployment.addresses.auditor.as_str()).await?;
    eventually(SOON, async || {
        let parked: i64 =
            sqlx::query_scalar("select count(*) from notification.parked_emails").fetch_one(&auditor).await?;
        ensure!(parked == 1, "{parked} emails are parked");
        Ok(())
    })
    .await?;
    let version: Option<i64> =
        sqlx::query_scalar(r#"select user_version from "order".orders"#).fetch_one(&auditor).await?;
    ensure!(version.is_none(), "the replica had version {version:?}");
    auditor.close().await;
    // Only now the replicas hear of the user.
    for service in owners {
        stage.deployment.stop_service(service).await?;
        stage.deployment.start_service(service).await?;
    }
    stage.check_at_rest().await?;
    let emails = stage.api.emails(user).await?;
    ensure!(emails.len() == 1 && emails[0]["title"] == "Order is paid", "{emails:?}");
    Ok(())
}

async fn update(stage: &Stage, user: domain::UserId, email: &str) -> Outcome {
    let profile = json!({"firstName": "Olga", "email": email});
    let reply = stage.api.update_profile(user, &profile, &[]).await?;
    ensure!(reply.status == StatusCode::OK, "{reply:?}");
    Ok(())
}

async fn what_was_said_earlier_does_not_undo_what_was_said_later(stage: &mut Stage) -> Outcome {
    let (user, wire) = (stage.api.create_user_with(10).await?, Wire::of(stage)?);
    for address in ["one@example.org", "two@example.org"] {
        update(stage, user, address).await?;
    }
    stage.check_at_rest().await?;
    let about = |message: &rdkafka::message::OwnedMessage| {
        matches!(header(message, "ce_type").as_deref(), Some("UserCreationSucceeded" | "UserUpdated"))
    };
    // Backwards, so that the oldest comes last; under other ids, so that no inbox could help.
    for message in wire.read("users").await?.iter().rev().filter(|message| about(message)) {
        wire.publish_again(message, Some(Uuid::now_v7())).await?;
    }
    stage.check_at_rest().await?;
    stage.api.order(user, 10, &[]).await?;
    let emails = eventually(SOON, async || {
        let emails = stage.api.emails(user).await?;
        ensure!(!emails.is_empty());
        Ok(emails)
    })
    .await?;
    ensure!(emails[0]["email"] == "two@example.org", "{emails:?}");
    Ok(())
}

async fn a_spoilt_replica_is_rebuilt_while_traffic_goes_on(stage: &mut Stage) -> Outcome {
    let mut users = Vec::new();
    for _ in 0..5 {
        users.push(stage.api.create_user_with(1_000).await?);
    }
    update(stage, users[1], "moved@example.org").await?;
    stage.check_at_rest().await?;
    let mut admin = PgConnection::connect(stage.database_as_admin().as_str()).await?;
    for schema in ["\"order\"", "notification"] {
        // One is missing, one is wrong and looks newer than it is, one is nobody.
        let spoil = format!(
            "delete from {schema}.user_replica where id = {};
             update {schema}.user_replica set email = 'wrong@example.org', version = 7 where id = {};
             insert into {schema}.user_replica values (4711, 'nobody', null, null, 'nobody@example.org', null, 1),
                 (4712, 'no one', null, null, 'no-one@example.org', null, 1)",
            users[0], users[1]
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(spoil)).execute(&mut admin).await?;
    }
    admin.close().await?;
    ensure!(
        stage.violated_now().await?.contains(&Invariant::Replicas),
        "the checker does not see a spoilt replica"
    );
    let mut clients = JoinSet::new();
    for user in users.clone() {
        let api = stage.api.clone();
        clients.spawn(async move {
            for number in 0..10 {
                let address = format!("user{user}-{number}@example.org");
                api.update_profile(user, &json!({"email": address}), &[]).await?;
                api.order(user, 1, &[]).await?;
            }
            anyhow::Ok(())
        });
    }
    for (service, command) in
        [(Service::Order, "rebuild-replica order"), (Service::Notification, "rebuild-replica notification")]
    {
        let refused = stage.deployment.run_once(service, command, SOON).await;
        let why = format!("{:#}", refused.err().context("a user whom the topic does not know is forgotten")?);
        ensure!(why.contains("--shrink"), "{why}");
        stage.deployment.run_once(service, &format!("{command} --shrink"), SOON).await?;
    }
    while let Some(done) = clients.join_next().await.transpose()? {
        done?;
    }
    stage.check_at_rest().await
}

/// Each is looked for by the user's id. A plan that reads all of a table would be made while it is small, kept, and found out by who has
/// a million users.
async fn of_many_parked_emails_and_users_only_those_are_read_that_are_heard_of(stage: &mut Stage) -> Outcome {
    const BEFORE: usize = 10;
    const AFTER: usize = 20;
    orders_of_new_users(stage, BEFORE).await?;
    let admin = PgPool::connect(stage.database_as_admin().as_str()).await?;
    sqlx::raw_sql(FILL).execute(&admin).await?;
    orders_of_new_users(stage, AFTER).await?;
    // A session tells what it has read when it ends.
    stage.deployment.stop_service(Service::Notification).await?;
    let heard_of = BYSTANDERS + i64::try_from(BEFORE + AFTER)?;
    let read = eventually(SOON, async || {
        let counted = "
            select coalesce(sum(n_tup_ins) filter (where relname = 'user_replica'), 0)::bigint,
                   coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0)::bigint
            from pg_stat_user_tables
            where schemaname = 'notification' and relname in ('parked_emails', 'user_replica')";
        let (inserted, read): (i64, i64) = sqlx::query_as(counted).fetch_one(&admin).await?;
        ensure!(inserted == heard_of, "{inserted} users of {heard_of} are counted");
        Ok(read)
    })
    .await?;
    ensure!(read < 1_000, "{read} rows were read for {} users", BEFORE + AFTER);
    sqlx::raw_sql(EMPTY).execute(&admin).await?;
    admin.close().await;
    stage.deployment.start_service(Service::Notification).await
}

/// Orders of so many users, one after the other, each with its email.
async fn orders_of_new_users(stage: &Stage, users: usize) -> Outcome {
    for _ in 0..users {
        let user = stage.api.create_user_with(1).await?;
        let reply = stage.api.order(user, 1, &[]).await?;
        ensure!(reply.status == StatusCode::CREATED, "{reply:?}");
        eventually(SOON, async || {
            let emails = stage.api.emails(user).await?;
            ensure!(emails.len() == 1, "{emails:?}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}
