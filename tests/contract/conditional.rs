//! What was asked conditionally: a client that has a user or an order already is not sent it again.

use std::iter;

use anyhow::{Context as _, ensure};
use domain::OrderId;
use lab::{Api, Reply, Service};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::problems::succeeded;
use crate::harness::{Outcome, Stage, Suite, cases};

pub fn register(suite: &mut Suite) {
    cases!(
        suite,
        "conditional",
        [
            a_client_that_has_a_user_or_an_order_is_told_so_in_304,
            another_balance_or_profile_or_state_has_another_tag,
            a_profile_is_replaced_under_the_tag_of_its_user,
        ]
    );
}

async fn a_client_that_has_a_user_or_an_order_is_told_so_in_304(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(100).await?;
    let order = stage.api.order(user, 10, &[]).await?.order_id().context("no order")?;
    for (owner, path) in
        [(Service::Billing, format!("/billing/user/{user}")), (Service::Order, format!("/orders/{order}"))]
    {
        let own = stage.style.asked_over_http().contains(&owner).then(|| stage.api_of(owner));
        for api in iter::once(stage.api.clone()).chain(own) {
            let etag = tag(&api, &path).await?;
            let known =
                ["*".to_owned(), etag.clone(), format!("W/{etag}"), format!("\"a,b\", \"0\" ,{etag}")];
            for known in &known {
                for method in [Method::GET, Method::HEAD] {
                    let reply = api.send(method, &path, &[("if-none-match", known)], "").await?;
                    succeeded(&reply, 304).with_context(|| known.clone())?;
                    ensure!(reply.body == Value::Null && reply.header("etag") == Some(&etag), "{reply:?}");
                    ensure!(reply.header("content-length").is_none(), "of what would be sent: {reply:?}");
                    is_kept(&reply, "private, no-cache")?;
                }
            }
            let lines = [("if-none-match", "\"0\""), ("if-none-match", etag.as_str())];
            succeeded(&api.send(Method::GET, &path, &lines, "").await?, 304)?;
            for other in ["\"0\"", "", etag.trim_matches('"')] {
                let reply = api.send(Method::GET, &path, &[("if-none-match", other)], "").await?;
                succeeded(&reply, 200).with_context(|| other.to_owned())?;
            }
        }
        let nothing = format!("{}/987654321", path.rsplit_once('/').context("a path")?.0);
        let reply = stage.api.send(Method::GET, &nothing, &[("if-none-match", "*")], "").await?;
        ensure!(reply.status == StatusCode::NOT_FOUND, "{reply:?}");
        is_kept(&reply, "no-store")?;
    }
    is_kept(&stage.api.get(&format!("/orders?userId={user}")).await?, "no-store")
}

/// What caches are told of an answer.
fn is_kept(reply: &Reply, directives: &str) -> Outcome {
    ensure!(reply.header("cache-control") == Some(directives), "{reply:?}");
    Ok(())
}

async fn another_balance_or_profile_or_state_has_another_tag(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(100).await?;
    let path = format!("/billing/user/{user}");
    let mut tags = vec![tag(&stage.api, &path).await?];
    stage.api.withdraw(user, 1).await?;
    tags.push(tag(&stage.api, &path).await?);
    let profile = json!({"firstName": "Olga", "email": format!("olga-{user}@example.org")});
    succeeded(&stage.api.update_profile(user, &profile, &[]).await?, 200)?;
    tags.push(tag(&stage.api, &path).await?);
    for (number, known) in tags.iter().enumerate() {
        let reply = stage.api.send(Method::GET, &path, &[("if-none-match", known)], "").await?;
        succeeded(&reply, if number + 1 == tags.len() { 304 } else { 200 })
            .with_context(|| format!("{tags:?}"))?;
    }

    let paid = stage.api.order(user, 10, &[]).await?.order_id().context("no order")?;
    let reply = stage.api.get(&format!("/orders/{paid}")).await?;
    let version = reply.body["version"].as_i64().context("no version")?;
    ensure!(version > 1 && reply.header("etag") == Some(&format!("\"{version}\"")), "{reply:?}");
    still_pending_is_not_known(&stage.api, paid).await
}

/// Who saw the order in its first state has not seen it in its last.
async fn still_pending_is_not_known(api: &Api, paid: OrderId) -> Outcome {
    let path = format!("/orders/{paid}");
    succeeded(&api.send(Method::GET, &path, &[("if-none-match", "\"1\"")], "").await?, 200)
}

async fn a_profile_is_replaced_under_the_tag_of_its_user(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(100).await?;
    let path = format!("/billing/user/{user}");
    let read = tag(&stage.api, &path).await?;
    // Money that moves meanwhile is no change of the profile.
    stage.api.withdraw(user, 1).await?;
    let profile = |name: &str| json!({"firstName": name, "email": format!("olga-{user}@example.org")});
    let first = stage.api.update_profile(user, &profile("Olga"), &[("if-match", &read)]).await?;
    succeeded(&first, 200)?;
    let second = stage.api.update_profile(user, &profile("Anna"), &[("if-match", &read)]).await?;
    ensure!(second.status == StatusCode::PRECONDITION_FAILED, "{second:?}");
    let fresh = first.header("etag").context("no ETag")?;
    succeeded(&stage.api.update_profile(user, &profile("Anna"), &[("if-match", fresh)]).await?, 200)?;
    let twice = [("if-match", "\"3\""), ("if-match", "\"1\"")];
    let refused: Reply = stage.api.update_profile(user, &profile("Ada"), &twice).await?;
    ensure!(refused.status == StatusCode::BAD_REQUEST, "one of the two would not be heard: {refused:?}");
    Ok(())
}

/// The tag of what is at `path`, a strong one.
async fn tag(api: &Api, path: &str) -> anyhow::Result<String> {
    let reply = api.get(path).await?;
    succeeded(&reply, 200)?;
    let etag = reply.header("etag").with_context(|| format!("no ETag: {reply:?}"))?;
    ensure!(etag.starts_with('"') && etag.ends_with('"'), "not strong: {etag}");
    Ok(etag.to_owned())
}
