//! Users: their profiles and their money.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use domain::UserId;
use lab::eventually;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Outcome, Stage, Suite, cases};

const SOON: Duration = Duration::from_secs(30);

pub fn register(suite: &mut Suite) {
    cases!(
        suite,
        "users",
        [
            a_profile_is_replaced_as_a_whole_and_its_version_grows,
            a_profile_of_another_version_is_not_replaced,
            usernames_and_email_addresses_are_unique_without_regard_to_case,
            usernames_and_email_addresses_that_look_the_same_are_the_same,
            a_name_is_kept_and_shown_in_one_form,
            an_address_with_an_international_domain_is_written_to,
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

async fn usernames_and_email_addresses_that_look_the_same_are_the_same(stage: &mut Stage) -> Outcome {
    let user = |name: &str, email: &str| json!({"username": name, "password": "p", "email": email});
    let create = async |body| stage.api.post("billing/user", &[], &body).await;
    let rene = create(user("rene\u{301}", "rene@bu\u{308}cher.example")).await?;
    ensure!(rene.status == StatusCode::CREATED, "{rene:?}");
    for (body, code) in [
        (user("ren\u{e9}", "other@example.org"), "username-taken"),
        (user("REN\u{c9}", "other@example.org"), "username-taken"),
        (user("\u{ff32}en\u{e9}", "other@example.org"), "username-taken"),
        (user("other", "rene@b\u{fc}cher.example"), "email-taken"),
        (user("other", "rene@xn--bcher-kva.example"), "email-taken"),
    ] {
        let refused = create(body).await?;
        ensure!(refused.status == StatusCode::CONFLICT && refused.code() == Some(code), "{refused:?}");
    }
    Ok(())
}

async fn a_name_is_kept_and_shown_in_one_form(stage: &mut Stage) -> Outcome {
    let body = json!({"username": "Rene\u{301}", "password": "p", "email": "Rene@B\u{dc}CHER.example",
        "firstName": "Rene\u{301}", "lastName": "O\u{2019}Neill \u{2764}\u{fe0f}"});
    let created = stage.api.post("billing/user", &[], &body).await?;
    let id = created.body["userId"].as_i64().with_context(|| format!("{created:?}"))?;
    let user = stage.api.get(&format!("/billing/user/{id}")).await?;
    for (member, shown) in [
        ("username", "ren\u{e9}"),
        ("email", "Rene@b\u{fc}cher.example"),
        ("firstName", "Ren\u{e9}"),
        ("lastName", "O\u{2019}Neill \u{2764}\u{fe0f}"),
    ] {
        ensure!(user.body[member] == shown, "{member} is not {shown}: {}", user.body);
    }
    Ok(())
}

async fn an_address_with_an_international_domain_is_written_to(stage: &mut Stage) -> Outcome {
    let (typed, wire) = ("ann@b\u{fc}cher.example", "ann@xn--bcher-kva.example");
    let user = stage.api.create_user_with(90).await?;
    let updated = stage.api.update_profile(user, &olga(typed), &[]).await?;
    ensure!(updated.status == StatusCode::OK && updated.body["email"] == typed, "{updated:?}");
    let direct = json!({"email": typed, "title": "Hello", "message": "Hi"});
    let direct = stage.api.post(&format!("/notification/email/{user}"), &[], &direct).await?;
    ensure!(direct.status == StatusCode::ACCEPTED, "{direct:?}");
    // At rest: where there are replicas, the order's email waits for none.
    stage.check_at_rest().await?;
    let ordered = stage.api.order(user, 90, &[]).await?;
    ensure!(ordered.status == StatusCode::CREATED, "{ordered:?}");
    eventually(SOON, async || {
        let emails = stage.api.emails(user).await?;
        let sent = emails.iter().filter(|email| email["status"] == "sent" && email["email"] == typed);
        ensure!(sent.count() == 2 && emails.len() == 2, "{emails:?}");
        Ok(())
    })
    .await?;
    let mails = stage.sink()?.mailbox().messages()?;
    ensure!(mails.len() == 2 && mails.iter().all(|mail| mail.to == [wire]), "{mails:?}");
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
