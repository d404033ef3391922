//! `Idempotency-Key`: a repeated request has one effect and one answer.

use anyhow::ensure;
use lab::{Reply, Service};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{Outcome, Stage, Suite, cases};

pub fn register(suite: &mut Suite) {
    cases!(
        suite,
        "idempotency",
        [
            a_repeated_request_has_one_effect_and_the_same_answer,
            the_same_key_at_once_from_many_clients_makes_one_order,
            a_key_with_other_content_is_refused_and_does_nothing,
            a_refusal_is_remembered_whatever_happens_in_between,
            a_key_is_the_same_bare_and_quoted_and_names_one_request_per_operation,
            a_repeat_after_the_gateway_was_restarted_gets_the_first_answer,
            a_password_is_not_compared,
        ]
    );
}

fn same(first: &Reply, second: &Reply) -> Outcome {
    ensure!(first.status == second.status && first.body == second.body, "{first:?} then {second:?}");
    ensure!(first.header("location") == second.header("location"), "{first:?} then {second:?}");
    Ok(())
}

async fn a_repeated_request_has_one_effect_and_the_same_answer(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(100).await?;
    let order = json!({"userId": user, "price": 30});
    let email = json!({"email": "a@example.org", "title": "Hello", "message": "there"});
    let requests: [(&str, Value, StatusCode); 5] = [
        (
            "/billing/user",
            json!({"username": "u", "password": "p", "email": "u@example.org"}),
            StatusCode::CREATED,
        ),
        (&format!("/billing/deposit/{user}"), json!({"amount": 5}), StatusCode::OK),
        (&format!("/billing/withdraw/{user}"), json!({"amount": 5}), StatusCode::OK),
        ("/orders", order, StatusCode::CREATED),
        (&format!("/notification/email/{user}"), email, StatusCode::ACCEPTED),
    ];
    for (path, body, status) in requests {
        let first = stage.api.post(path, &[("idempotency-key", "again")], &body).await?;
        ensure!(first.status == status, "{path}: {first:?}");
        for _ in 0..2 {
            same(&first, &stage.api.post(path, &[("idempotency-key", "again")], &body).await?)?;
        }
    }
    ensure!(stage.api.balance(user).await? == 100 + 5 - 5 - 30);
    stage.check_at_rest().await?;
    ensure!(stage.api.emails(user).await?.len() == 2);
    Ok(())
}

async fn the_same_key_at_once_from_many_clients_makes_one_order(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(100).await?;
    let mut clients = JoinSet::new();
    for _ in 0..16 {
        let api = stage.api.clone();
        clients.spawn(async move {
            api.order(user, 60, &[("idempotency-key", "one"), ("prefer", "wait=30")]).await
        });
    }
    let first = stage.api.order(user, 60, &[("idempotency-key", "one"), ("prefer", "wait=30")]).await?;
    ensure!(first.status == StatusCode::CREATED, "{first:?}");
    while let Some(reply) = clients.join_next().await {
        same(&first, &reply??)?;
    }
    ensure!(stage.api.balance(user).await? == 40);
    Ok(())
}

async fn a_key_with_other_content_is_refused_and_does_nothing(stage: &mut Stage) -> Outcome {
    let (user, other) = (stage.api.create_user_with(100).await?, stage.api.create_user_with(100).await?);
    let key = [("idempotency-key", "k")];
    let email = |title: &str| json!({"email": "a@example.org", "title": title, "message": "m"});
    let new_user = |name: &str| json!({"username": name, "password": "p", "email": "n@example.org"});
    let pairs = [
        ("/orders".to_owned(), json!({"userId": user, "price": 1}), json!({"userId": user, "price": 2})),
        ("/billing/user".to_owned(), new_user("one"), new_user("two")),
        (format!("/notification/email/{user}"), email("one"), email("two")),
    ];
    for (path, first, second) in pairs {
        ensure!(stage.api.post(&path, &key, &first).await?.status.is_success(), "{path}");
        let reused = stage.api.post(&path, &key, &second).await?;
        ensure!(reused.status == StatusCode::UNPROCESSABLE_ENTITY, "{path}: {reused:?}");
        ensure!(reused.code() == Some("idempotency-key-reused"), "{path}: {reused:?}");
    }
    // The path is content too: the same key and amount for another account.
    for operation in ["deposit", "withdraw"] {
        let amount = json!({"amount": 9});
        let first = stage.api.post(&format!("/billing/{operation}/{user}"), &key, &amount).await?;
        let second = stage.api.post(&format!("/billing/{operation}/{other}"), &key, &amount).await?;
        ensure!(
            first.status == StatusCode::OK && second.code() == Some("idempotency-key-reused"),
            "{second:?}"
        );
    }
    ensure!((stage.api.balance(user).await?, stage.api.balance(other).await?) == (99, 100));
    Ok(())
}

async fn a_refusal_is_remembered_whatever_happens_in_between(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user().await?;
    let key = [("idempotency-key", "poor")];
    let poor = stage.api.order(user, 50, &key).await?;
    let amount = json!({"amount": 50});
    let withdrawal = stage.api.post(&format!("/billing/withdraw/{user}"), &key, &amount).await?;
    ensure!(poor.code() == Some("insufficient-funds") && withdrawal.code() == Some("insufficient-funds"));
    let nobody = domain::UserId(i64::MAX);
    let unknown = stage.api.order(nobody, 1, &[("idempotency-key", "nobody")]).await?;
    ensure!(unknown.code() == Some("account-not-found") && unknown.order_id().is_some(), "{unknown:?}");

    stage.api.deposit(user, 100).await?;
    same(&poor, &stage.api.order(user, 50, &key).await?)?;
    same(&withdrawal, &stage.api.post(&format!("/billing/withdraw/{user}"), &key, &amount).await?)?;
    same(&unknown, &stage.api.order(nobody, 1, &[("idempotency-key", "nobody")]).await?)?;
    ensure!(stage.api.balance(user).await? == 100);
    Ok(())
}

async fn a_key_is_the_same_bare_and_quoted_and_names_one_request_per_operation(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(10).await?;
    let bare = stage.api.order(user, 1, &[("idempotency-key", "k-1")]).await?;
    same(&bare, &stage.api.order(user, 1, &[("idempotency-key", "\"k-1\"")]).await?)?;
    let (path, amount) = (format!("/billing/deposit/{user}"), json!({"amount": 1}));
    let deposit = stage.api.post(&path, &[("idempotency-key", "k-1")], &amount).await?;
    ensure!(deposit.status == StatusCode::OK, "{deposit:?}");
    ensure!(stage.api.balance(user).await? == 10);
    Ok(())
}

async fn a_repeat_after_the_gateway_was_restarted_gets_the_first_answer(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(10).await?;
    let first = stage.api.order(user, 10, &[("idempotency-key", "k")]).await?;
    ensure!(first.status == StatusCode::CREATED, "{first:?}");
    stage.deployment.kill(Service::Gateway).await?;
    stage.deployment.start_service(Service::Gateway).await?;
    same(&first, &stage.api.order(user, 10, &[("idempotency-key", "k")]).await?)
}

async fn a_password_is_not_compared(stage: &mut Stage) -> Outcome {
    let user = |password: &str| json!({"username": "p", "password": password, "email": "p@example.org"});
    let key = [("idempotency-key", "k")];
    let first = stage.api.post("/billing/user", &key, &user("one")).await?;
    ensure!(first.status == StatusCode::CREATED, "{first:?}");
    same(&first, &stage.api.post("/billing/user", &key, &user("two")).await?)
}
