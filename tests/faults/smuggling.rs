//! Clients that try to reach what is not theirs.

use anyhow::ensure;
use domain::{Operation, RequestId};
use reqwest::StatusCode;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Outcome, Stage, Suite, cases};

pub fn register(suite: &mut Suite) {
    cases!(
        suite,
        "smuggling",
        [
            a_path_leads_to_no_other_route_of_an_owner,
            a_key_of_a_clients_does_not_get_in_the_way_of_an_orders_own_requests,
        ]
    );
}

/// Sends `method path` as it is written: an HTTP library would tidy the path up.
async fn raw(stage: &Stage, method: &str, path: &str, body: &str) -> anyhow::Result<String> {
    let address = stage.deployment.gateway().socket_addrs(|| None)?[0];
    let mut stream = TcpStream::connect(address).await?;
    let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

async fn a_path_leads_to_no_other_route_of_an_owner(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(100).await?;
    let body = json!({"amount": 7, "orderId": 5000}).to_string();
    for (method, path) in [
        ("POST", format!("/billing/deposit/..\\withdraw\\{user}")),
        ("POST", format!("/billing/deposit/..%2Fwithdraw%2F{user}")),
        ("POST", format!("/billing/deposit/../withdraw/{user}")),
        ("GET", "/orders/..\\metrics".to_owned()),
        ("GET", "/orders/%2e%2e%5cmetrics".to_owned()),
        ("GET", "/orders/..%2Fmetrics".to_owned()),
    ] {
        let answer = raw(stage, method, &path, &body).await?;
        ensure!(answer.starts_with("HTTP/1.1 404"), "{method} {path}: {answer}");
    }
    ensure!(stage.api.balance(user).await? == 100);
    Ok(())
}

/// The ids of requests are no secret: a 202 shows them, and they can be computed.
async fn a_key_of_a_clients_does_not_get_in_the_way_of_an_orders_own_requests(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(100).await?;
    let internal = RequestId::derive(Operation::CreateOrder, "k").to_string();
    let key = [("idempotency-key", internal.as_str())];
    let withdrawn = stage.api.post(&format!("/billing/withdraw/{user}"), &key, &json!({"amount": 1})).await?;
    let email = json!({"email": "a@example.org", "title": "Mine", "message": "m"});
    let stored = stage.api.post(&format!("/notification/email/{user}"), &key, &email).await?;
    ensure!(withdrawn.status == StatusCode::OK, "{withdrawn:?}");
    ensure!(stored.status == StatusCode::ACCEPTED, "{stored:?}");
    let order = stage.api.order(user, 90, &[("idempotency-key", "k")]).await?;
    ensure!(order.status == StatusCode::CREATED, "{order:?}");
    stage.check_at_rest().await?;
    ensure!(stage.api.emails(user).await?.len() == 2);
    Ok(())
}
