//! Bad input: every refusal is a problem that says what is wrong and where, and leaves no trace.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use domain::{Amount, UserId};
use lab::{Reply, Service};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::documents::{document, methods};
use super::endpoints::{Endpoint, endpoints};
use super::problems::{Probe, invalid, refusal, succeeded};
use crate::harness::{Outcome, Stage, Suite, cases};

pub fn register(suite: &mut Suite) {
    cases!(
        suite,
        "bad_input",
        [
            a_body_that_is_not_valid_is_refused_by_field_and_leaves_no_trace,
            a_body_may_have_64_kib_and_no_more,
            a_body_in_an_encoding_that_is_not_read_is_refused_and_leaves_no_trace,
            unknown_fields_and_the_content_type_do_not_matter,
            a_path_that_does_not_exist_is_not_found,
            a_method_that_a_path_does_not_have_is_refused_and_the_others_are_named,
            an_id_that_names_nothing_is_not_found,
            a_query_that_is_not_valid_is_refused_by_parameter,
            an_idempotency_key_that_is_not_valid_is_refused_by_name,
            an_if_match_that_is_not_valid_is_refused_by_name,
            a_client_without_patience_does_not_close_the_service_to_the_others,
            a_balance_past_2_to_the_53_is_refused_and_the_refusal_is_not_remembered,
            a_client_cannot_say_that_a_withdrawal_or_an_email_belongs_to_an_order,
        ]
    );
    cases!(
        suite,
        "bad_input",
        // Said by gRPC, it is the foreign client's to try.
        where |features| features.cost_of_a_paid_order.rpcs == 0,
        [a_service_can_say_so_and_an_order_is_charged_and_told_once]
    );
}

/// No id: neither a 64-bit integer nor a UUID.
const NOT_IDS: [&str; 8] =
    ["abc", "1.5", "1e0", "1e3", "9223372036854775808", "6f0c9a52-7d1e-4c38", "%20", "%FF"];
/// Ids that nobody has.
const NOBODYS_IDS: [&str; 3] = ["-1", "0", "9223372036854775807"];

async fn a_body_that_is_not_valid_is_refused_by_field_and_leaves_no_trace(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user().await?;
    let before = traces(stage, user).await?;
    let mut probe = Probe::default();
    let endpoints = endpoints(stage, user);
    let keys: Vec<String> = (0..endpoints.len()).map(|number| format!("endpoint-{number}")).collect();
    for (endpoint, key) in endpoints.iter().zip(&keys) {
        let Endpoint { api, method, path, .. } = endpoint;
        for (field, body) in endpoint.bad_bodies() {
            let headers = [("idempotency-key", key.as_str())];
            probe.refused(api, (method.clone(), path), &headers, body, invalid(field)).await?;
        }
    }
    probe.note("what is left behind", equal(&traces(stage, user).await?, &before));
    // With the key of the bad ones: a 400 is not remembered.
    for (endpoint, key) in endpoints.iter().zip(&keys) {
        probe.accepted(endpoint, &[("idempotency-key", key)], endpoint.body.to_string()).await?;
    }
    probe.conclude()
}

async fn a_body_may_have_64_kib_and_no_more(stage: &mut Stage) -> Outcome {
    const BYTES_MAX: usize = 64 * 1024;
    let user = stage.api.create_user().await?;
    let mut probe = Probe::default();
    for endpoint in endpoints(stage, user) {
        // White space around JSON means nothing.
        let body = endpoint.body.to_string();
        let padded = |bytes| body.clone() + &" ".repeat(bytes - body.len());
        let Endpoint { api, method, path, .. } = &endpoint;
        let expected = refusal(413, "body-too-large");
        probe.refused(api, (method.clone(), path), &[], padded(BYTES_MAX + 1), expected).await?;
        probe.accepted(&endpoint, &[], padded(BYTES_MAX)).await?;
    }
    probe.conclude()
}

async fn a_body_in_an_encoding_that_is_not_read_is_refused_and_leaves_no_trace(stage: &mut Stage) -> Outcome {
    // The header that refuses, and the one of the answer that says what is accepted.
    type Header = (&'static str, &'static str);
    const REFUSED: [(Header, Header); 4] = [
        (("content-encoding", "gzip"), ("accept-encoding", "identity")),
        (("content-encoding", "identity, zstd"), ("accept-encoding", "identity")),
        (("content-type", "application/json; charset=ISO-8859-1"), ("accept", "application/json")),
        (("content-type", "text/plain;charset=\"UTF-16\""), ("accept", "application/json")),
    ];
    let user = stage.api.create_user().await?;
    let before = traces(stage, user).await?;
    let mut probe = Probe::default();
    for (header, (says, accepted)) in REFUSED {
        for Endpoint { api, method, path, body, .. } in endpoints(stage, user) {
            let expected = refusal(415, "unsupported-media-type");
            let reply = probe.refused(&api, (method, &path), &[header], body.to_string(), expected).await?;
            let said = (reply.header(says) == Some(accepted)).then_some(());
            probe.note(format!("{path} {header:?}"), said.with_context(|| format!("{says} is not there")));
        }
    }
    probe.note("what is left behind", equal(&traces(stage, user).await?, &before));
    for endpoint in endpoints(stage, user) {
        let headers = [("content-type", "text/plain; Charset=\"UTF-8\""), ("content-encoding", "identity")];
        probe.accepted(&endpoint, &headers, endpoint.body.to_string()).await?;
    }
    probe.conclude()
}

async fn unknown_fields_and_the_content_type_do_not_matter(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user().await?;
    let mut probe = Probe::default();
    for content_type in
        ["", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-8"]
    {
        let header = [("content-type", content_type)];
        let headers = if content_type.is_empty() { &[] } else { header.as_slice() };
        for mut endpoint in endpoints(stage, user) {
            endpoint.body["fieldOfTomorrow"] = json!({"amount": [-1]});
            probe.accepted(&endpoint, headers, endpoint.body.to_string()).await?;
        }
    }
    probe.conclude()
}

async fn a_path_that_does_not_exist_is_not_found(stage: &mut Stage) -> Outcome {
    let mut probe = Probe::default();
    for &service in stage.style.services {
        let api = stage.api_of(service);
        for path in
            ["/", "/nowhere", "/orders/", "/orders/1/2", "/billing", "/billing/user/", "/api-docs/nowhere"]
        {
            probe.refused(&api, (Method::GET, path), &[], "", refusal(404, "no-such-path")).await?;
        }
    }
    probe.conclude()
}

async fn a_method_that_a_path_does_not_have_is_refused_and_the_others_are_named(
    stage: &mut Stage,
) -> Outcome {
    const EVERY_SERVICES: [&str; 5] =
        ["/health", "/ready", "/metrics", "/api-docs", "/api-docs/openapi.json"];
    let mut probe = Probe::default();
    for service in stage.style.asked_over_http() {
        let api = stage.api_of(service);
        let mut allowed = methods(&document(stage.style, service)?)?;
        allowed.extend(EVERY_SERVICES.map(|path| (path.to_owned(), BTreeSet::from(["GET".to_owned()]))));
        for (path, allowed) in allowed {
            let path = path.replace("{requestId}", &Uuid::nil().to_string());
            let path = path.replace("{userId}", "1").replace("{orderId}", "1").replace("{eventId}", "1");
            for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
                if allowed.contains(method) {
                    continue;
                }
                let expected = refusal(405, "method-not-allowed");
                let reply = probe.refused(&api, (method.parse()?, &path), &[], "", expected).await?;
                let named = equal(&json!(named_methods(&reply)), &json!(allowed)).context("Allow");
                probe.note(format!("{method} {path} of {}", service.name()), named);
            }
        }
    }
    probe.conclude()
}

async fn an_id_that_names_nothing_is_not_found(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user().await?;
    let mut probe = Probe::default();
    for id in NOT_IDS.into_iter().chain(NOBODYS_IDS) {
        for Endpoint { api, method, path, body, .. } in endpoints(stage, user) {
            let Some(path) = path.strip_suffix(&user.to_string()).map(|path| format!("{path}{id}")) else {
                continue;
            };
            let code = match method {
                // What nobody has heard of is a new event.
                Method::PUT if NOBODYS_IDS.contains(&id) && path.starts_with("/tickets") => continue,
                // An email goes to an address: an account is not needed.
                Method::POST if NOBODYS_IDS.contains(&id) && path.starts_with("/notification") => continue,
                Method::POST if NOBODYS_IDS.contains(&id) => "account-not-found",
                _ => "not-found",
            };
            probe.refused(&api, (method, &path), &[], body.to_string(), refusal(404, code)).await?;
        }
        let of_bookings: &[_] =
            if stage.style.features.has_bookings { &["/bookings", "/tickets"] } else { &[] };
        for path in
            ["/billing/user", "/orders", "/orders/requests", "/billing/requests", "/notification/email"]
                .iter()
                .chain(of_bookings)
        {
            // A user whom nobody knows has no emails.
            if !(*path == "/notification/email" && NOBODYS_IDS.contains(&id)) {
                let path = format!("{path}/{id}");
                probe.refused(&stage.api, (Method::GET, &path), &[], "", refusal(404, "not-found")).await?;
            }
        }
    }
    probe.conclude()
}

async fn a_query_that_is_not_valid_is_refused_by_parameter(stage: &mut Stage) -> Outcome {
    const NOT_IDS: [&str; 6] = ["abc", "1.5", "9223372036854775808", "%FF", "", "[1]"];
    let mut probe = Probe::default();
    for (parameter, values) in [
        ("limit", ["0", "101", "-1", "65536", "abc", ""].as_slice()),
        ("after", &NOT_IDS),
        ("userId", &NOT_IDS),
    ] {
        let once = values.iter().map(|value| format!("/orders?{parameter}={value}"));
        for path in once.chain([format!("/orders?{parameter}=1&{parameter}=1")]) {
            probe.refused(&stage.api, (Method::GET, &path), &[], "", invalid(parameter)).await?;
        }
    }
    probe.conclude()
}

async fn an_idempotency_key_that_is_not_valid_is_refused_by_name(stage: &mut Stage) -> Outcome {
    let (longest, too_long) = ("k".repeat(255), "k".repeat(256));
    let user = stage.api.create_user().await?;
    let before = traces(stage, user).await?;
    let mut probe = Probe::default();
    let posts = || endpoints(stage, user).into_iter().filter(|endpoint| endpoint.method == Method::POST);
    for Endpoint { api, method, path, body, .. } in posts() {
        let bad = ["", "\"\"", "\"", "\"open", "a\ttab", &too_long].map(|key| vec![("idempotency-key", key)]);
        let twice = vec![("idempotency-key", "one"), ("idempotency-key", "two")];
        for headers in bad.into_iter().chain([twice]) {
            let expected = invalid("Idempotency-Key");
            probe.refused(&api, (method.clone(), &path), &headers, body.to_string(), expected).await?;
        }
    }
    probe.note("what is left behind", equal(&traces(stage, user).await?, &before));
    for endpoint in posts().take(3) {
        probe.accepted(&endpoint, &[("idempotency-key", &longest)], endpoint.body.to_string()).await?;
    }
    probe.conclude()
}

async fn an_if_match_that_is_not_valid_is_refused_by_name(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user().await?;
    let before = traces(stage, user).await?;
    let path = format!("/billing/user/{user}");
    let profile = json!({"email": format!("{}@example.org", Uuid::new_v4())});
    let mut probe = Probe::default();
    for version in ["", "abc", "\"\"", "\"abc\"", "1.5", "\"1", "1\"", "-1"] {
        let headers = [("if-match", version)];
        let body = profile.to_string();
        probe.refused(&stage.api, (Method::PUT, &path), &headers, body, invalid("If-Match")).await?;
    }
    // As valid as any other, and of no profile.
    let headers = [("if-match", "9223372036854775808"), ("content-type", "application/json")];
    let reply = stage.api.send(Method::PUT, &path, &headers, profile.to_string()).await?;
    ensure!(reply.status == StatusCode::PRECONDITION_FAILED, "{reply:?}");
    probe.note("what is left behind", equal(&traces(stage, user).await?, &before));
    probe.conclude()
}

async fn a_client_without_patience_does_not_close_the_service_to_the_others(stage: &mut Stage) -> Outcome {
    // Far more than the failures in a row that open a circuit breaker.
    let mut hurried = JoinSet::new();
    for _ in 0..50 {
        let api = stage.api.clone();
        hurried.spawn(async move { api.send(Method::GET, "/orders", &[("x-deadline-ms", "0")], "").await });
    }
    for reply in hurried.join_all().await {
        reply?;
    }
    succeeded(&stage.api.get("/orders").await?, 200)
}

async fn a_balance_past_2_to_the_53_is_refused_and_the_refusal_is_not_remembered(
    stage: &mut Stage,
) -> Outcome {
    let user = stage.api.create_user_with(Amount::MAX).await?;
    let path = format!("/billing/deposit/{user}");
    let (key, one) = ([("idempotency-key", "overflow")], json!({"amount": 1}));
    let mut probe = Probe::default();
    for _ in 0..2 {
        let expected = invalid("amount").code("balance-overflow");
        probe.refused(&stage.api, (Method::POST, &path), &key, one.to_string(), expected).await?;
        ensure!(stage.api.balance(user).await? == Amount::MAX);
    }
    succeeded(&stage.api.withdraw(user, 1).await?, 200)?;
    let now = stage.api.post(&path, &key, &one).await?;
    succeeded(&now, 200)?;
    ensure!(now.body["balance"] == Amount::MAX, "{}", now.body);
    probe.conclude()
}

async fn a_client_cannot_say_that_a_withdrawal_or_an_email_belongs_to_an_order(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(100).await?;
    let order = stage.api.order(user, 10, &[]).await?.order_id().context("no order")?;
    // The order is charged and told already: if its id were heard, the answer would be a refusal.
    for smuggled in [json!(order), json!(order), json!("not even an id")] {
        let withdrawal = json!({"amount": 1, "orderId": smuggled});
        succeeded(&stage.api.post(&format!("/billing/withdraw/{user}"), &[], &withdrawal).await?, 200)?;
        let email =
            json!({"email": "ann@example.org", "title": "Hello", "message": "Hi", "orderId": smuggled});
        succeeded(&stage.api.post(&format!("/notification/email/{user}"), &[], &email).await?, 202)?;
    }
    ensure!(stage.api.balance(user).await? == 87);
    let mut emails = stage.api.emails(user).await?;
    emails.retain(|email| email["title"] == "Hello");
    ensure!(emails.len() == 3 && emails.iter().all(|email| email["orderId"].is_null()), "{emails:?}");
    Ok(())
}

async fn a_service_can_say_so_and_an_order_is_charged_and_told_once(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user_with(100).await?;
    let order = stage.api.order(user, 10, &[]).await?.order_id().context("no order")?;
    stage.check_at_rest().await?;
    let (billing, notification) = (stage.api_of(Service::Billing), stage.api_of(Service::Notification));
    let mut probe = Probe::default();

    let path = format!("/billing/withdraw/{user}");
    let withdrawal = json!({"amount": 10, "orderId": order}).to_string();
    let expected = refusal(409, "order-already-charged");
    let reply = probe.refused(&billing, (Method::POST, &path), &[], withdrawal, expected).await?;
    ensure!(reply.order_id() == Some(order) && stage.api.balance(user).await? == 90, "{}", reply.body);

    let path = format!("/notification/email/{user}");
    let emails = stage.api.emails(user).await?;
    let [email] = emails.as_slice() else { anyhow::bail!("not one email: {emails:?}") };
    let repeated = notification.post(&path, &[], email).await?;
    succeeded(&repeated, 202)?;
    ensure!(repeated.body["emailId"] == email["id"], "{} is not {email}", repeated.body);
    let other =
        json!({"email": email["email"], "title": "Another", "message": "Hi", "orderId": order}).to_string();
    let expected = refusal(422, "idempotency-key-reused");
    probe.refused(&notification, (Method::POST, &path), &[], other, expected).await?;
    ensure!(stage.api.emails(user).await?.len() == 1);
    probe.conclude()
}

/// All that requests about `user` may leave behind.
async fn traces(stage: &Stage, user: UserId) -> anyhow::Result<Value> {
    let user_now = stage.api.get(&format!("/billing/user/{user}")).await?;
    let orders = stage.api.get(&format!("/orders?userId={user}")).await?;
    Ok(json!([user_now.body, orders.body, stage.api.emails(user).await?]))
}

fn equal(actual: &Value, expected: &Value) -> Outcome {
    ensure!(actual == expected, "{actual} instead of {expected}");
    Ok(())
}

/// `Allow`, without HEAD, which comes with every GET.
fn named_methods(reply: &Reply) -> BTreeSet<String> {
    let allow = reply.header("allow").unwrap_or_default();
    allow.split(',').map(|method| method.trim().to_owned()).filter(|method| method != "HEAD").collect()
}
