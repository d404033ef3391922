//! An SMTP server that refuses, defers, breaks off or is away.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use lab::eventually;
use sandbox::Behaviour;
use serde_json::json;
use sqlx::{Connection as _, PgConnection};

use crate::harness::{Outcome, Stage, Suite, cases};

const SOON: Duration = Duration::from_secs(30);
/// More than all senders claim at once.
const EMAILS: usize = 150;

pub fn register(suite: &mut Suite) {
    cases!(
        suite,
        "mail",
        [
            a_recipient_that_is_refused_for_good_makes_the_email_fail,
            // The embedded server announces no such thing.
            #[settings(&[("SMTP_UTF8", "true")])]
            an_address_that_needs_smtputf8_makes_the_email_fail_where_the_server_does_not_speak_it,
            // A reply that comes after that would be a delivery that broke off, and the email would be sent twice.
            #[settings(&[("SMTP_COMMAND_TIMEOUT_MS", "5000"), ("MAIL_LEASE_MS", "60000")])]
            a_deferred_email_is_sent_once_when_the_server_takes_it,
            a_server_that_is_away_gets_the_email_when_it_is_back,
            #[settings(&[("SMTP_COMMAND_TIMEOUT_MS", "5000"), ("MAIL_LEASE_MS", "60000")])]
            a_server_that_is_not_available_costs_no_email_an_attempt_and_the_log_two_lines,
            a_delivery_that_breaks_off_is_repeated_under_the_same_message_id_and_counted,
        ]
    );
}

/// Waits until the one email of `user` has `status`.
async fn email_is(stage: &Stage, user: domain::UserId, status: &str) -> Outcome {
    eventually(SOON, async || {
        let emails = stage.api.emails(user).await?;
        ensure!(emails.len() == 1 && emails[0]["status"] == status, "{emails:?}");
        Ok(())
    })
    .await
}

/// Waits until notification's metrics have `line`.
async fn metrics_have(stage: &Stage, line: &str) -> Outcome {
    eventually(SOON, async || {
        let metrics = stage.metrics(lab::Service::Notification).await?;
        ensure!(metrics.contains(line), "{line} is not in\n{metrics}");
        Ok(())
    })
    .await
}

/// Waits until the server has put the email off.
async fn first_attempt_failed(stage: &Stage) -> Outcome {
    metrics_have(stage, "emails_total{service=\"notification\",outcome=\"retried\"}").await
}

/// Waits until the senders have noticed that there is no server for them.
async fn the_senders_wait(stage: &Stage) -> Outcome {
    metrics_have(stage, "email_server_trouble{service=\"notification\"} 1").await
}

async fn paid_order(stage: &Stage) -> anyhow::Result<domain::UserId> {
    let user = stage.api.create_user_with(90).await?;
    let reply = stage.api.order(user, 90, &[]).await?;
    ensure!(reply.status == reqwest::StatusCode::CREATED, "the order does not wait for its email: {reply:?}");
    Ok(user)
}

async fn a_recipient_that_is_refused_for_good_makes_the_email_fail(stage: &mut Stage) -> Outcome {
    stage.sink()?.set_behaviour(Behaviour::RejectRecipient);
    let user = paid_order(stage).await?;
    email_is(stage, user, "failed").await
}

async fn an_address_that_needs_smtputf8_makes_the_email_fail_where_the_server_does_not_speak_it(
    stage: &mut Stage,
) -> Outcome {
    let anna = json!({"username": "anna", "password": "correct horse", "email": "анна@example.org"});
    let created = stage.api.post("billing/user", &[], &anna).await?;
    let user = created.body["userId"].as_i64().with_context(|| format!("{created:?}"))?;
    let user = domain::UserId(user);
    stage.api.deposit(user, 90).await?;
    let reply = stage.api.order(user, 90, &[]).await?;
    ensure!(reply.status == reqwest::StatusCode::CREATED, "{reply:?}");
    email_is(stage, user, "failed").await?;
    let metrics = stage.metrics(lab::Service::Notification).await?;
    ensure!(!metrics.contains("outcome=\"retried\""), "it was tried again:\n{metrics}");
    ensure!(stage.logs()?.contains("SMTPUTF8"), "no log says why");
    Ok(())
}

async fn a_deferred_email_is_sent_once_when_the_server_takes_it(stage: &mut Stage) -> Outcome {
    stage.sink()?.set_behaviour(Behaviour::Defer);
    let user = paid_order(stage).await?;
    first_attempt_failed(stage).await?;
    stage.sink()?.set_behaviour(Behaviour::Accept);
    email_is(stage, user, "sent").await?;
    ensure!(stage.sink()?.mailbox().messages()?.len() == 1);
    Ok(())
}

async fn a_server_that_is_away_gets_the_email_when_it_is_back(stage: &mut Stage) -> Outcome {
    stage.sink()?.suspend().await;
    let user = paid_order(stage).await?;
    the_senders_wait(stage).await?;
    stage.sink()?.resume().await?;
    email_is(stage, user, "sent").await?;
    metrics_have(stage, "email_server_trouble{service=\"notification\"} 0").await
}

async fn a_server_that_is_not_available_costs_no_email_an_attempt_and_the_log_two_lines(
    stage: &mut Stage,
) -> Outcome {
    stage.sink()?.set_behaviour(Behaviour::NotAvailable);
    let user = stage.api.create_user().await?;
    for number in 1..=EMAILS {
        let email = json!({"email": "ann@example.org", "title": number.to_string(), "message": "Hi"});
        let stored = stage.api.post(&format!("/notification/email/{user}"), &[], &email).await?;
        ensure!(stored.status == reqwest::StatusCode::ACCEPTED, "{stored:?}");
    }
    the_senders_wait(stage).await?;
    stage.sink()?.set_behaviour(Behaviour::Accept);
    stage.check_at_rest().await?;
    let emails = stage.api.emails(user).await?;
    ensure!(emails.len() == EMAILS && emails.iter().all(|email| email["status"] == "sent"), "{emails:?}");

    let mut admin = PgConnection::connect(stage.database_as_admin().as_str()).await?;
    let attempts: Vec<i32> =
        sqlx::query_scalar("select distinct attempts from notification.emails").fetch_all(&mut admin).await?;
    ensure!(attempts == [1], "the server's trouble counted as the emails': {attempts:?}");
    let log = std::fs::read_to_string(stage.deployment.log(lab::Service::Notification))?;
    for (line, times) in
        [("SMTP server takes no emails", 1), ("SMTP server takes emails again", 1), ("email put off", 0)]
    {
        let told = log.lines().filter(|told| told.contains(line)).count();
        ensure!(told == times, "{line:?} was told {told} times, not {times}");
    }
    Ok(())
}

async fn a_delivery_that_breaks_off_is_repeated_under_the_same_message_id_and_counted(
    stage: &mut Stage,
) -> Outcome {
    stage.sink()?.set_behaviour(Behaviour::CloseAfterData { store: true });
    let user = paid_order(stage).await?;
    let mailbox = stage.sink()?.mailbox().clone();
    eventually(SOON, async || {
        ensure!(!mailbox.messages()?.is_empty(), "nothing was received");
        Ok(())
    })
    .await?;
    stage.sink()?.set_behaviour(Behaviour::Accept);
    email_is(stage, user, "sent").await?;
    let mails = mailbox.messages()?;
    ensure!(mails.len() >= 2 && mails.iter().all(|mail| mail.message_id == mails[0].message_id), "{mails:?}");
    let metrics = stage.metrics(lab::Service::Notification).await?;
    let counted = format!("email_deliveries_unknown_total{{service=\"notification\"}} {}", mails.len() - 1);
    ensure!(metrics.contains(&counted), "{counted} is not in\n{metrics}");
    Ok(())
}
