//! `Prefer`: how long a client waits, and how it gets the outcome later.

use std::time::Duration;

use anyhow::ensure;
use lab::Api;
use reqwest::StatusCode;
use serde_json::json;

use crate::harness::{Outcome, Stage, Suite, cases};

pub fn register(suite: &mut Suite) {
    cases!(
        suite,
        "waiting",
        [
            a_client_that_does_not_wait_finds_the_outcome_where_location_says,
            a_request_that_was_never_sent_looks_like_one_that_still_travels,
            requests_to_billing_can_be_looked_up,
        ]
    );
}

async fn a_client_that_does_not_wait_finds_the_outcome_where_location_says(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(90).await?;
    for (key, prefer, status) in [
        ("async", ["respond-async"].as_slice(), "paid"),
        ("async too", &["respond-async, wait=5"], "rejected"),
        ("in two lines", &["wait=5", "respond-async"], "rejected"),
    ] {
        let mut headers = vec![("idempotency-key", key)];
        headers.extend(prefer.iter().map(|line| ("prefer", *line)));
        let reply = stage.api.order(user, 90, &headers).await?;
        ensure!(reply.status == StatusCode::ACCEPTED, "{reply:?}");
        let request = Api::order_request(key);
        ensure!(reply.body == json!({"requestId": request}), "{reply:?}");
        ensure!(reply.header("location") == Some(&format!("/orders/requests/{request}")), "{reply:?}");
        let outcome = stage.api.outcome(request, Duration::from_secs(30)).await?;
        ensure!(outcome.body["status"] == status && outcome.body["userId"] == user.0, "{outcome:?}");
    }
    Ok(())
}

async fn a_request_that_was_never_sent_looks_like_one_that_still_travels(stage: &mut Stage) -> Outcome {
    for owner in ["orders", "billing"] {
        let reply = stage.api.get(&format!("/{owner}/requests/{}", uuid::Uuid::new_v4())).await?;
        ensure!(reply.status == StatusCode::ACCEPTED && reply.header("retry-after").is_some(), "{reply:?}");
    }
    Ok(())
}

async fn requests_to_billing_can_be_looked_up(stage: &mut Stage) -> Outcome {
    use domain::{Operation, RequestId};
    let user = stage.api.create_user().await?;
    let key = [("idempotency-key", "lookup")];
    stage.api.post(&format!("/billing/deposit/{user}"), &key, &json!({"amount": 7})).await?;
    stage.api.post(&format!("/billing/withdraw/{user}"), &key, &json!({"amount": 8})).await?;
    let look_up = async |operation| {
        let request = RequestId::derive(operation, "lookup");
        stage.api.get(&format!("/billing/requests/{request}")).await
    };
    let deposit = look_up(Operation::Deposit).await?;
    ensure!(deposit.status == StatusCode::OK && deposit.body["balance"] == 7, "{deposit:?}");
    ensure!(deposit.body["operation"] == "deposit" && deposit.body.get("error").is_none(), "{deposit:?}");
    let withdrawal = look_up(Operation::Withdraw).await?;
    ensure!(withdrawal.body["error"] == "insufficient-funds", "{withdrawal:?}");
    stage.api.withdraw(user, 7).await?;
    // Told to the client's books, which the check at the end compares with the ledger.
    stage.api.deposit(user, 7).await?;
    ensure!(stage.api.balance(user).await? == 7);
    Ok(())
}
