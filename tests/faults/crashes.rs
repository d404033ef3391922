//! `kill -9` in the middle of things.

use std::time::Duration;

use anyhow::ensure;
use domain::{Operation, RequestId};
use lab::{Api, Service, eventually};
use nix::sys::signal::Signal;
use reqwest::StatusCode;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use tokio::task::JoinSet;

use super::barrier::Barrier;
use crate::harness::{Outcome, Stage, Suite, cases};

/// How long a service may take to get to its crash point, or the system to get over it.
const SOON: Duration = Duration::from_secs(30);

pub fn register(suite: &mut Suite) {
    cases!(
        suite,
        "crashes",
        where |features| features.orchestrates,
        [
            an_order_that_can_never_be_finished_does_not_hold_up_the_others,
            a_reply_that_is_lost_does_not_charge_twice,
        ]
    );
    cases!(
        suite,
        "crashes",
        [
            a_user_who_registers_while_the_order_is_under_way_pays_for_it_once_or_not_at_all,
            an_address_that_changes_between_a_crash_and_recovery_makes_no_second_email,
            emails_that_cannot_be_handed_over_do_not_hold_up_pending_orders,
            an_order_service_that_dies_while_its_withdrawal_is_under_way_finishes_the_order_later,
            a_gateway_that_dies_while_clients_wait_loses_no_order,
            // An attempt may take four fifths of it; here one must not end before billing wakes up.
            #[settings(&[("RECOVERY_AFTER_MS", "10000")])]
            a_service_that_is_asked_to_stop_answers_what_it_has_begun,
        ]
    );
}

/// Waits until an order of `user` is pending: stored, and on its way.
async fn pending_order(stage: &Stage, user: domain::UserId) -> Outcome {
    stored_order(stage, user, "pending").await
}

/// Waits until an order of `user` is stored, in a status like `status`. Asks the database, since a crash point that sleeps
/// may hold up its whole process.
async fn stored_order(stage: &Stage, user: domain::UserId, status: &str) -> Outcome {
    let auditor = PgPool::connect(stage.deployment.addresses.auditor.as_str()).await?;
    let found = eventually(SOON, async || {
        let stored = sqlx::query_scalar(
            r#"select exists (select from "order".orders where user_id = $1 and status like $2)"#,
        );
        let stored: bool = stored.bind(user.0).bind(status).fetch_one(&auditor).await?;
        ensure!(stored, "no order of user {user} is {status}");
        Ok(())
    })
    .await;
    auditor.close().await;
    found
}

async fn an_order_service_that_dies_while_its_withdrawal_is_under_way_finishes_the_order_later(
    stage: &mut Stage,
) -> Outcome {
    let user = stage.api.create_user_with(90).await?;
    let barrier = Barrier::at_account(stage, user).await?;
    let api = stage.api.clone();
    let client =
        tokio::spawn(
            async move { api.order(user, 90, &[("idempotency-key", "k"), ("prefer", "wait=5")]).await },
        );
    pending_order(stage, user).await?;
    stage.deployment.kill(Service::Order).await?;
    barrier.lift().await?;
    if stage.style.features.requests_are_messages {
        stage.deployment.start_service(Service::Order).await?;
        // The client does not wait for the order service, but for a message.
        let heard = client.await??;
        ensure!(matches!(heard.status, StatusCode::CREATED | StatusCode::ACCEPTED), "{heard:?}");
    } else {
        let heard = client.await??;
        ensure!(
            heard.status == StatusCode::SERVICE_UNAVAILABLE && heard.header("retry-after").is_some(),
            "{heard:?}"
        );
        ensure!(
            heard.body["idempotencyKey"] == "k",
            "without a key of its own a client could not ask again: {heard:?}"
        );
        stage.deployment.start_service(Service::Order).await?;
    }
    let outcome = stage.api.outcome(Api::order_request("k"), SOON).await?;
    ensure!(outcome.body["status"] == "paid", "{outcome:?}");
    Ok(())
}

async fn a_reply_that_is_lost_does_not_charge_twice(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(100).await?;
    stage.deployment.arm(Service::Billing, "billing::reply_lost", "1*return").await?;
    let reply = stage.api.order(user, 60, &[]).await?;
    ensure!(reply.status == StatusCode::CREATED, "{reply:?}");
    ensure!(stage.api.balance(user).await? == 40);
    let (metrics, calls) = (stage.metrics(Service::Order).await?, stage.style.calls_are_counted_as());
    let once = format!("{calls}_retries_total{{service=\"order\",peer=\"billing\"}} 1");
    ensure!(metrics.contains(&once), "{metrics}");
    Ok(())
}

async fn a_gateway_that_dies_while_clients_wait_loses_no_order(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(800).await?;
    let barrier = Barrier::at_account(stage, user).await?;
    let mut clients = JoinSet::new();
    for number in 0..4 {
        let api = stage.api.clone();
        clients
            .spawn(async move { api.order(user, 100, &[("idempotency-key", &format!("k{number}"))]).await });
    }
    pending_order(stage, user).await?;
    stage.deployment.kill(Service::Gateway).await?;
    barrier.lift().await?;
    while clients.join_next().await.transpose()?.is_some() {}
    stage.deployment.start_service(Service::Gateway).await?;
    for number in 0..4 {
        let reply = stage.api.order(user, 100, &[("idempotency-key", &format!("k{number}"))]).await?;
        ensure!(reply.status == StatusCode::CREATED, "{reply:?}");
    }
    ensure!(stage.api.balance(user).await? == 400);
    Ok(())
}

/// Stops `service`, and lets the withdrawal that it waits for go on only when it has been told.
async fn stop_at_work(stage: &mut Stage, service: Service, barrier: Barrier) -> Outcome {
    stage.deployment.signal(service, Signal::SIGTERM)?;
    barrier.lift().await?;
    stage.deployment.stop_service(service).await
}

async fn a_service_that_is_asked_to_stop_answers_what_it_has_begun(stage: &mut Stage) -> Outcome {
    // Without an orchestrator, nobody but the gateway has a client waiting.
    let services = [Service::Gateway, Service::Order];
    let services = if stage.style.features.orchestrates { &services[..] } else { &services[..1] };
    for &service in services {
        let user = stage.api.create_user_with(800).await?;
        let barrier = Barrier::at_account(stage, user).await?;
        let api = stage.api.clone();
        let client = tokio::spawn(async move { api.order(user, 100, &[]).await });
        pending_order(stage, user).await?;
        stop_at_work(stage, service, barrier).await?;
        let reply = client.await??;
        ensure!(reply.status == StatusCode::CREATED, "{service:?} stopped: {reply:?}");
        if service == Service::Order {
            stage.deployment.start_service(service).await?;
            let barrier = Barrier::at_account(stage, user).await?;
            let reply = stage.api.order(user, 100, &[("prefer", "respond-async")]).await?;
            ensure!(reply.status == StatusCode::ACCEPTED, "{reply:?}");
            pending_order(stage, user).await?;
            stop_at_work(stage, service, barrier).await?;
            // Nobody is there to recover it: the order service has finished it before it stopped.
            ensure!(stage.api.balance(user).await? == 600);
            ensure!(stage.api.emails(user).await?.len() == 2);
        }
        stage.deployment.start_service(service).await?;
    }
    Ok(())
}

async fn a_user_who_registers_while_the_order_is_under_way_pays_for_it_once_or_not_at_all(
    stage: &mut Stage,
) -> Outcome {
    let nobody_yet = domain::UserId(stage.api.create_user().await?.0 + 1);
    stage.check_at_rest().await?;
    let point = stage.style.features.points.order_pending;
    stage.deployment.arm(Service::Order, point, "1*sleep(900)").await?;
    let api = stage.api.clone();
    let early = tokio::spawn(async move { api.order(nobody_yet, 70, &[("idempotency-key", "k")]).await });
    // Where billing was asked first, it has ended already.
    stored_order(stage, nobody_yet, "%").await?;
    ensure!(stage.api.create_user_with(100).await? == nobody_yet);
    let repeated = stage.api.order(nobody_yet, 70, &[("idempotency-key", "k")]).await?;
    let early = early.await??;
    let same = early.status == repeated.status && early.order_id() == repeated.order_id();
    ensure!(same, "{early:?} and {repeated:?}");
    let left = if early.status == StatusCode::CREATED { 30 } else { 100 };
    ensure!(stage.api.balance(nobody_yet).await? == left, "{early:?}");
    Ok(())
}

async fn an_address_that_changes_between_a_crash_and_recovery_makes_no_second_email(
    stage: &mut Stage,
) -> Outcome {
    let user = stage.api.create_user_with(90).await?;
    stage.check_at_rest().await?;
    let (service, point) = stage.style.features.points.email_committed;
    stage.deployment.arm(service, point, "panic").await?;
    drop(stage.api.order(user, 90, &[("prefer", "wait=5")]).await);
    stage.deployment.wait_end(service, SOON).await?;
    let moved = json!({"email": "moved@example.org"});
    let updated = stage.api.update_profile(user, &moved, &[]).await?;
    ensure!(updated.status == StatusCode::OK, "{updated:?}");
    stage.deployment.start_service(service).await?;
    stage.check_at_rest().await?;
    ensure!(stage.api.emails(user).await?.len() == 1);
    Ok(())
}

/// An order whose withdrawal billing remembers otherwise, by a hand in the database, among seven that need nothing more.
async fn an_order_that_can_never_be_finished_does_not_hold_up_the_others(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(100).await?;
    for _ in 0..7 {
        stage.api.order(user, 10, &[]).await?;
    }
    stage.check_at_rest().await?;
    let mut admin = PgConnection::connect(stage.database_as_admin().as_str()).await?;
    let request = uuid::Uuid::new_v4();
    let payment = RequestId::derive(Operation::PayOrder, &request.to_string());
    sqlx::raw_sql(AssertSqlSafe(format!(
        r#"insert into "order".orders (request_id, user_id, price) values ('{request}', {user}, 1);
           insert into billing.requests (request_id, operation, asked, outcome)
               values ('{payment}', 'create-user', '{{}}', '{{}}');
           insert into "order".unfinished (order_id, due_at)
               select id, now() - interval '1 hour' from "order".orders"#
    )))
    .execute(&mut admin)
    .await?;
    let connection = tokio::sync::Mutex::new(admin);
    eventually(SOON, async || {
        let count = sqlx::query_scalar(r#"select count(*) from "order".unfinished"#);
        let rows: i64 = count.fetch_one(&mut *connection.lock().await).await?;
        ensure!(rows == 1, "{rows} orders are unfinished");
        Ok(())
    })
    .await?;
    let mut admin = connection.into_inner();
    sqlx::raw_sql(AssertSqlSafe(format!(
        r#"delete from "order".unfinished;
           delete from "order".orders where request_id = '{request}';
           delete from billing.requests where request_id = '{payment}'"#
    )))
    .execute(&mut admin)
    .await?;
    Ok(admin.close().await?)
}

async fn emails_that_cannot_be_handed_over_do_not_hold_up_pending_orders(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(100).await?;
    stage.deployment.kill(Service::Notification).await?;
    let mut clients = JoinSet::new();
    for _ in 0..40 {
        let api = stage.api.clone();
        clients.spawn(async move { api.order(user, 1, &[]).await });
    }
    while let Some(reply) = clients.join_next().await.transpose()? {
        ensure!(reply?.status == StatusCode::CREATED);
    }
    let point = stage.style.features.points.order_pending;
    stage.deployment.arm(Service::Order, point, "panic").await?;
    drop(stage.api.order(user, 50, &[("idempotency-key", "k"), ("prefer", "wait=1")]).await);
    stage.deployment.wait_end(Service::Order, SOON).await?;
    stage.deployment.start_service(Service::Order).await?;
    let outcome = stage.api.outcome(Api::order_request("k"), SOON).await?;
    ensure!(outcome.body["status"] == "paid", "{outcome:?}");
    stage.deployment.start_service(Service::Notification).await
}
