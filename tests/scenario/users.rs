//! Users: their profiles and their money.

use anyhow::{Context as _, ensure};
use domain::UserId;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Outcome, Stage, Suite, cases};

pub fn register(suite: &mut Suite) {
    cases!(
        suite,
        "users",
        [
            a_profile_is_replaced_as_a_whole_and_its_version_grows,
            a_profile_of_another_version_is_not_replaced,
            usernames_and_email_addresses_are_unique_without_regard_to_case,
            an_unknown_user_has_no_account,
            money_comes_and_goes_but_never_below_zero,
        ]
    );
}

fn olga(email: &str) -> Value {
    json!({"firstName": "Olga", "email": email, "phone": "1"})
}

async fn a_profile_is_replaced_as_a_whole_and_its_version_grows(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(5).await?;
    let path = format!("/billing/user/{user}");
    let before = stage.api.get(&path).await?;
    ensure!(before.header("etag") == Some("\"1-5\"") && before.body["version"] == 1, "{before:?}");
    let after = stage.api.update_profile(user, &olga("olga@example.org"), &[]).await?;
    let mut expected = before.body.clone();
    for (member, value) in [
        ("firstName", json!("Olga")),
        ("lastName", json!(null)),
        ("email", json!("olga@example.org")),
        ("phone", json!("1")),
        ("version", json!(2)),
    ] {
        expected[member] = value;
    }
    ensure!(after.status == StatusCode::OK && after.body == expected, "{after:?}, expected {expected}");
    ensure!(stage.api.get(&path).await?.body == expected);
    Ok(())
}

async fn a_profile_of_another_version_is_not_replaced(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user().await?;
    let (one, two) = (olga("one@example.org"), olga("two@example.org"));
    let stale = stage.api.update_profile(user, &one, &[("if-match", "\"2\"")]).await?;
    ensure!(
        stale.status == StatusCode::PRECONDITION_FAILED && stale.code() == Some("version-mismatch"),
        "{stale:?}"
    );
    for matching in ["\"1\"", "2", "*"] {
        let fresh = stage.api.update_profile(user, &two, &[("if-match", matching)]).await?;
        ensure!(fresh.status == StatusCode::OK, "{matching}: {fresh:?}");
    }
    Ok(())
}

async fn usernames_and_email_addresses_are_unique_without_regard_to_case(stage: &mut Stage) -> Outcome {
    let user = |name: &str, email: &str| json!({"username": name, "password": "p", "email": email});
    let create = async |body| stage.api.post("billing/user", &[], &body).await;
    ensure!(create(user("ann", "ann@example.org")).await?.status == StatusCode::CREATED);
    for (body, code) in [
        (user("Ann", "other@example.org"), "username-taken"),
        (user("other", "ANN@example.org"), "email-taken"),
    ] {
        let refused = create(body).await?;
        ensure!(refused.status == StatusCode::CONFLICT && refused.code() == Some(code), "{refused:?}");
    }
    let other = create(user("bob", "bob@example.org")).await?;
    let bob = UserId(other.body["userId"].as_i64().context("userId is missing")?);
    let taken = stage.api.update_profile(bob, &olga("ann@Example.org"), &[]).await?;
    ensure!(taken.status == StatusCode::CONFLICT && taken.code() == Some("email-taken"), "{taken:?}");
    ensure!(stage.api.get(&format!("/billing/user/{bob}")).await?.body["version"] == 1);
    Ok(())
}

async fn an_unknown_user_has_no_account(stage: &mut Stage) -> Outcome {
    let nobody = UserId(987_654_321);
    let read = stage.api.get(&format!("/billing/user/{nobody}")).await?;
    let update = stage.api.update_profile(nobody, &olga("x@example.org"), &[]).await?;
    for reply in [read, update] {
        ensure!(reply.status == StatusCode::NOT_FOUND && reply.code() == Some("not-found"), "{reply:?}");
    }
    for reply in [stage.api.deposit(nobody, 1).await?, stage.api.withdraw(nobody, 1).await?] {
        ensure!(
            reply.status == StatusCode::NOT_FOUND && reply.code() == Some("account-not-found"),
            "{reply:?}"
        );
    }
    ensure!(stage.api.emails(nobody).await?.is_empty());
    Ok(())
}

async fn money_comes_and_goes_but_never_below_zero(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(10).await?;
    let more = stage.api.withdraw(user, 11).await?;
    ensure!(
        more.status == StatusCode::PRECONDITION_FAILED && more.code() == Some("insufficient-funds"),
        "{more:?}"
    );
    let all = stage.api.withdraw(user, 10).await?;
    ensure!(all.status == StatusCode::OK && all.body == json!({"balance": 0}), "{all:?}");
    Ok(())
}
