//! Lists come in pages, and one that is long is no burden on anybody.

use anyhow::{Context as _, ensure};
use lab::{Api, Service};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinSet;

use crate::harness::{Outcome, Stage, Suite, cases};

/// Entries of a page that does not say how many it wants.
const PAGE: usize = 20;
/// Emails of a user who has many.
const MANY: i64 = 100_000;
const READERS: usize = 4;
/// More than the largest page of these emails takes, and a hundredth of all of them.
const PAGE_BYTES_MAX: usize = 200_000;

pub fn register(suite: &mut Suite) {
    cases!(
        suite,
        "pages",
        [
            orders_come_in_pages_oldest_first,
            emails_come_in_pages_oldest_first,
            the_longest_page_that_there_can_be_arrives,
            many_emails_of_one_user_are_no_burden_on_the_others,
        ]
    );
}

async fn orders_come_in_pages_oldest_first(stage: &mut Stage) -> Outcome {
    let (user, other) = (stage.api.create_user_with(100).await?, stage.api.create_user_with(100).await?);
    let mut placed = Vec::new();
    for price in 1..=5 {
        placed.push(stage.api.order(user, price, &[]).await?.body["orderId"].clone());
        stage.api.order(other, price, &[]).await?;
    }
    pages_of_two_are(&stage.api, &format!("/orders?userId={user}&limit=2"), &placed).await?;
    let everybody = stage.api.get("/orders").await?;
    ensure!(everybody.body.as_array().is_some_and(|orders| orders.len() == 10), "{everybody:?}");
    Ok(())
}

async fn emails_come_in_pages_oldest_first(stage: &mut Stage) -> Outcome {
    let (user, other) = (stage.api.create_user().await?, stage.api.create_user().await?);
    let mut stored = Vec::new();
    for number in 1..=PAGE + 1 {
        let email = json!({"email": "ann@example.org", "title": number.to_string(), "message": "Hi"});
        let reply = stage.api.post(&format!("/notification/email/{user}"), &[], &email).await?;
        stored.push(reply.body["emailId"].clone());
        stage.api.post(&format!("/notification/email/{other}"), &[], &email).await?;
    }
    let list = format!("/notification/email/{user}");
    pages_of_two_are(&stage.api, &format!("{list}?limit=2"), &stored).await?;
    let page = stage.api.get(&list).await?;
    ensure!(ids(&page.body)? == stored[..PAGE] && page.next_page()?.is_some(), "{page:?}");
    let last = stage.api.get(&format!("{list}?after={}", stored[PAGE - 1])).await?;
    ensure!(ids(&last.body)? == stored[PAGE..] && last.next_page()?.is_none(), "{last:?}");
    let refused = stage.api.get(&format!("{list}?limit=101")).await?;
    ensure!(refused.status == StatusCode::BAD_REQUEST && refused.body["field"] == "limit", "{refused:?}");
    Ok(())
}

/// Follows the links from the first page of two to the last.
async fn pages_of_two_are(api: &Api, first: &str, expected: &[Value]) -> Outcome {
    let (mut found, mut next) = (Vec::new(), Some(first.to_owned()));
    while let Some(address) = next {
        let page = api.get(&address).await?;
        let entries = ids(&page.body)?;
        ensure!(page.status == StatusCode::OK && entries.len() <= 2, "{page:?}");
        found.extend(entries);
        next = page.next_page()?.map(str::to_owned);
    }
    ensure!(found == expected, "{found:?}, not {expected:?}");
    Ok(())
}

fn ids(page: &Value) -> anyhow::Result<Vec<Value>> {
    let entries = page.as_array().with_context(|| format!("a page is an array: {page}"))?;
    Ok(entries.iter().map(|entry| entry["id"].clone()).collect())
}

async fn many_emails_of_one_user_are_no_burden_on_the_others(stage: &mut Stage) -> Outcome {
    let (user, other) = (stage.api.create_user().await?, stage.api.create_user_with(90).await?);
    ensure!(stage.api.order(other, 90, &[]).await?.status == StatusCode::CREATED);
    let mut admin = PgConnection::connect(stage.database_as_admin().as_str()).await?;
    sqlx::query(
        "insert into notification.emails (request_id, user_id, email, title, message, message_id, status)
         select gen_random_uuid(), $1, 'ann@example.org', 'Hello', repeat('x', 100), gen_random_uuid()::text, 'failed'
         from generate_series(1, $2)",
    )
    .bind(user.0)
    .bind(MANY)
    .execute(&mut admin)
    .await?;
    // As strangers are: told 503, they do not try again.
    let strangers = Api::new(stage.deployment.gateway().clone());
    let mut readers = JoinSet::new();
    for _ in 0..READERS {
        let api = strangers.clone();
        readers.spawn(async move {
            read_a_few_pages(&api, &format!("/notification/email/{user}?limit=100")).await
        });
    }
    while let Some(read) = readers.join_next().await {
        read??;
        ensure!(strangers.emails(other).await?.len() == 1);
    }
    let metrics = stage.metrics(Service::Gateway).await?;
    ensure!(!metrics.contains("_client_breaker_rejections_total"), "{metrics}");
    // Nobody sent them, so no mailbox has them.
    sqlx::query("delete from notification.emails where user_id = $1")
        .bind(user.0)
        .execute(&mut admin)
        .await?;
    Ok(())
}

/// As many emails as a page may have, of as many characters as a message may have, each of as many bytes as a character may have.
async fn the_longest_page_that_there_can_be_arrives(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user().await?;
    let mut admin = PgConnection::connect(stage.database_as_admin().as_str()).await?;
    sqlx::query(
        "insert into notification.emails (request_id, user_id, email, title, message, message_id, status)
         select gen_random_uuid(), $1, 'ann@example.org', 'Hello', repeat('😀', 10000), gen_random_uuid()::text, 'failed'
         from generate_series(1, 100)",
    )
    .bind(user.0)
    .execute(&mut admin)
    .await?;
    let page = stage.api.get(&format!("/notification/email/{user}?limit=100")).await?;
    ensure!(page.status == StatusCode::OK && ids(&page.body)?.len() == 100, "{}: {}", page.status, page.body);
    // Nobody sent them, so no mailbox has them.
    sqlx::query("delete from notification.emails where user_id = $1")
        .bind(user.0)
        .execute(&mut admin)
        .await?;
    Ok(())
}

async fn read_a_few_pages(api: &Api, first: &str) -> Outcome {
    let mut next = first.to_owned();
    for _ in 0..10 {
        let page = api.get(&next).await?;
        ensure!(page.status == StatusCode::OK && ids(&page.body)?.len() == 100, "{}", page.status);
        ensure!(page.body.to_string().len() < PAGE_BYTES_MAX);
        page.next_page()?.context("a page further")?.clone_into(&mut next);
    }
    Ok(())
}
