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

pub fn register(suite: &mut Suite) {
    cases!(
        suite,
        "replicas",
        where |features| features.has_replicas,
        [
            an_order_before_its_user_is_known_is_decided_and_its_email_waits_for_the_address,
            what_was_said_earlier_does_not_undo_what_was_said_later,
            a_spoilt_replica_is_rebuilt_while_traffic_goes_on,
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
