//! Pages in browsers call the gateway: its own, those of listed origins, and all others.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use domain::UserId;
use lab::{Api, Reply, Service};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::documents::{document, methods, operations};
use super::endpoints::{Endpoint, endpoints};
use super::problems::{Probe, refusal, succeeded};
use crate::harness::{Outcome, Stage, Suite, cases};

const LISTED: &str = "https://shop.example.org";
const FOREIGN: [&str; 3] = ["https://evil.example", "null", "https://shop.example.org:8443"];

pub fn register(suite: &mut Suite) {
    cases!(
        suite,
        "browsers",
        [
            no_page_of_a_foreign_origin_has_an_effect,
            #[settings(&[("CORS_ORIGINS", LISTED)])]
            no_page_of_an_origin_that_is_not_listed_has_an_effect,
            the_gateways_own_pages_may_do_everything,
            #[settings(&[("CORS_ORIGINS", "http://localhost:5173, https://shop.example.org")])]
            pages_of_a_listed_origin_may_do_everything_and_read_the_answers,
            #[settings(&[("CORS_ORIGINS", LISTED)])]
            a_listed_origin_may_send_and_read_every_header_that_the_document_names,
        ]
    );
}

/// All of them at the gateway: browsers reach no other service.
fn at_the_gateway(stage: &Stage, user: UserId) -> impl Iterator<Item = Endpoint> {
    let gateway = stage.api.clone();
    endpoints(stage, user).into_iter().map(move |mut endpoint| {
        endpoint.api = gateway.clone();
        endpoint
    })
}

async fn no_page_of_a_foreign_origin_has_an_effect(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user().await?;
    let before = stage.api.get(&format!("/billing/user/{user}")).await?.body;
    let mut probe = Probe::default();
    for origin in FOREIGN {
        let headers = [("origin", origin)];
        for Endpoint { api, method, path, body, .. } in at_the_gateway(stage, user) {
            let expected = refusal(403, "foreign-origin");
            let reply =
                probe.refused(&api, (method.clone(), &path), &headers, body.to_string(), expected).await?;
            probe.note(format!("{path} for {origin}"), shows_nothing(&reply));
            // A form can send no more than this, and needs no permission for it.
            if method == Method::POST {
                let form = [("origin", origin), ("content-type", "text/plain")];
                let expected = refusal(403, "foreign-origin");
                probe.refused(&api, (method, &path), &form, body.to_string(), expected).await?;
            }
        }
        let path = format!("/billing/user/{user}");
        let asked = [("origin", origin), ("access-control-request-method", "PUT")];
        let expected = refusal(403, "foreign-origin");
        let reply = probe.refused(&stage.api, (Method::OPTIONS, &path), &asked, "", expected).await?;
        probe.note(format!("OPTIONS {path} for {origin}"), shows_nothing(&reply));
        let read = stage.api.send(Method::GET, &path, &headers, "").await?;
        probe.note(format!("GET {path} for {origin}"), succeeded(&read, 200).and(shows_nothing(&read)));
    }
    ensure!(stage.api.get(&format!("/billing/user/{user}")).await?.body == before);
    let orders = stage.api.get(&format!("/orders?userId={user}")).await?;
    ensure!(orders.body == Value::Array(Vec::new()), "{}", orders.body);
    probe.conclude()
}

async fn no_page_of_an_origin_that_is_not_listed_has_an_effect(stage: &mut Stage) -> Outcome {
    no_page_of_a_foreign_origin_has_an_effect(stage).await
}

async fn the_gateways_own_pages_may_do_everything(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user().await?;
    let origin = stage.deployment.gateway().origin().ascii_serialization();
    let mut probe = Probe::default();
    for endpoint in at_the_gateway(stage, user) {
        probe.accepted(&endpoint, &[("origin", &origin)], endpoint.body.to_string()).await?;
    }
    probe.conclude()
}

async fn pages_of_a_listed_origin_may_do_everything_and_read_the_answers(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user().await?;
    let headers = [("origin", LISTED)];
    let mut probe = Probe::default();
    for endpoint in at_the_gateway(stage, user) {
        let Endpoint { api, method, path, .. } = &endpoint;
        let allowed = preflight(api, path, method.as_str()).await?;
        probe.note(format!("OPTIONS {path}"), shows(&allowed));
        let reply = probe.accepted(&endpoint, &headers, endpoint.body.to_string()).await?;
        probe.note(format!("{method} {path}"), shows(&reply));
        let refused = api.send(method.clone(), path, &headers, "").await?;
        probe.note(format!("{method} {path} without a body"), shows(&refused));
    }
    let path = format!("/billing/user/{user}");
    let read = stage.api.send(Method::GET, &path, &headers, "").await?;
    let etag = read.header("etag").context("no ETag")?;
    let known = stage.api.send(Method::GET, &path, &[headers[0], ("if-none-match", etag)], "").await?;
    probe.note("what it has already", succeeded(&known, 304).and(shows(&known)));
    let unnamed = stage.api.get(&path).await?;
    ensure!(unnamed.header("vary") == Some("origin"), "a cache would give it to every page: {unnamed:?}");
    probe.conclude()
}

async fn a_listed_origin_may_send_and_read_every_header_that_the_document_names(
    stage: &mut Stage,
) -> Outcome {
    let document = document(stage.style, Service::Gateway)?;
    let allowed = preflight(&stage.api, "/orders", "POST").await?;
    let read = stage.api.send(Method::GET, "/orders", &[("origin", LISTED)], "").await?;
    let listed = |reply: &Reply, name: &str| -> anyhow::Result<BTreeSet<String>> {
        let list = reply.header(name).with_context(|| format!("no {name}: {reply:?}"))?;
        Ok(list.split(',').map(|entry| entry.trim().to_lowercase()).collect())
    };
    let (sent, exposed) =
        (listed(&allowed, "access-control-allow-headers")?, listed(&read, "access-control-expose-headers")?);
    let allowed_methods = listed(&allowed, "access-control-allow-methods")?;
    for method in methods(&document)?.into_values().flatten() {
        ensure!(allowed_methods.contains(&method.to_lowercase()), "{method} is not in {allowed_methods:?}");
    }
    for (method, path, operation) in operations(&document)? {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap_or_default().to_lowercase();
            let may = parameter["in"] != "header" || sent.contains(&name);
            ensure!(may, "{method} {path} takes {name}, which a page may not send: {sent:?}");
        }
        for answer in operation["responses"].as_object().context("no responses")?.values() {
            for name in
                answer["headers"].as_object().into_iter().flatten().map(|(name, _)| name.to_lowercase())
            {
                let may = exposed.contains(&name);
                ensure!(may, "{method} {path} answers {name}, which a page cannot read: {exposed:?}");
            }
        }
    }
    Ok(())
}

/// What a browser asks before it sends `method path` for a page of [`LISTED`].
async fn preflight(api: &Api, path: &str, method: &str) -> anyhow::Result<Reply> {
    let headers = [("origin", LISTED), ("access-control-request-method", method)];
    let reply = api.send(Method::OPTIONS, path, &headers, "").await?;
    ensure!(reply.status == StatusCode::NO_CONTENT, "{reply:?}");
    Ok(reply)
}

/// A browser shows `reply` to a page of [`LISTED`].
fn shows(reply: &Reply) -> Outcome {
    let origin = reply.header("access-control-allow-origin");
    ensure!(origin == Some(LISTED), "{origin:?} may read {reply:?}");
    Ok(())
}

/// A browser shows `reply` to no page of another origin.
fn shows_nothing(reply: &Reply) -> Outcome {
    let origin = reply.header("access-control-allow-origin");
    ensure!(origin.is_none(), "{origin:?} may read {reply:?}");
    Ok(())
}
