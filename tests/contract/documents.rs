//! The OpenAPI documents: checked in as the code has them, complete, true to the contract, and there to be browsed.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail, ensure};
use jsonschema::Draft;
use lab::{STYLES, Service, Style};
use reqwest::{Client, Response, Url};
use serde_json::{Value, json};

use super::{Findings, conforms, validator};
use crate::harness::{Outcome, Stage, Suite, cases, workspace_root};

/// The contract's table, and what each row may be answered with. Beside these, whatever has an effect may be asked for by a page
/// of a foreign origin (403), whatever takes a body may refuse how it comes (408, 413, 415), every POST may meet a key that was
/// used before (422), and everything may be out of order (500, 503).
const CONTRACT: [(&str, &str, &[u16]); 12] = [
    ("POST", "/billing/user", &[201, 400, 409]),
    ("GET", "/billing/user/{userId}", &[200, 304, 404]),
    ("PUT", "/billing/user/{userId}", &[200, 400, 404, 409, 412]),
    ("POST", "/billing/deposit/{userId}", &[200, 400, 404]),
    ("POST", "/billing/withdraw/{userId}", &[200, 400, 404, 412]),
    ("GET", "/billing/requests/{requestId}", &[200, 202, 404]),
    ("POST", "/orders", &[201, 202, 400, 404, 412]),
    ("GET", "/orders", &[200, 400]),
    ("GET", "/orders/{orderId}", &[200, 304, 404]),
    ("GET", "/orders/requests/{requestId}", &[200, 202, 404]),
    ("POST", "/notification/email/{userId}", &[202, 400]),
    ("GET", "/notification/email/{userId}", &[200, 400]),
];

/// The rows that only a style with bookings has; of what is deleted, no body is asked for.
const BOOKINGS: [(&str, &str, &[u16]); 5] = [
    ("PUT", "/tickets/{eventId}", &[200, 201, 400, 409]),
    ("GET", "/tickets/{eventId}", &[200, 404]),
    ("POST", "/bookings", &[201, 202, 400, 404, 409, 412]),
    ("GET", "/bookings/{orderId}", &[200, 404]),
    ("DELETE", "/bookings/{orderId}", &[202, 403, 404, 409]),
];

/// A check of a style's documents.
type Check = fn(&Style) -> Outcome;

pub fn register(suite: &mut Suite) {
    for style in STYLES {
        let checks: [(&str, Check); 6] = [
            ("the_documents_that_are_checked_in_are_what_the_code_says", checked_in),
            ("every_operation_is_described_and_so_are_its_problems", every_operation_is_described),
            ("the_gateway_has_the_paths_methods_and_answers_of_the_contract", gateway_is_the_contract),
            ("only_the_services_own_documents_know_an_order_id", order_id_is_internal),
            ("every_example_is_one", every_example_is_one),
            ("every_closed_set_is_an_enum", every_closed_set_is_an_enum),
        ];
        for (name, check) in checks {
            suite.trial(format!("{}::documents::{name}", style.name), async move || check(style));
        }
    }
    cases!(suite, "documents", [every_service_serves_its_document_and_a_page_that_needs_no_other_host]);
}

/// What `service` says of itself.
pub fn document(style: &Style, service: Service) -> anyhow::Result<Value> {
    let documents = (style.api_documents)();
    let found = documents.iter().find(|(name, _)| *name == service.name());
    let (_, document) = found.with_context(|| format!("{} has no document", service.name()))?;
    Ok(serde_json::to_value(document)?)
}

/// The methods of each path in `document`.
pub fn methods(document: &Value) -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let mut methods: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (method, path, _) in operations(document)? {
        methods.entry(path).or_default().insert(method);
    }
    Ok(methods)
}

/// Method, path and description of every operation in `document`.
pub fn operations(document: &Value) -> anyhow::Result<Vec<(String, String, &Value)>> {
    let paths = document["paths"].as_object().context("no paths")?;
    let items = paths
        .iter()
        .flat_map(|(path, item)| item.as_object().into_iter().flatten().map(move |it| (path, it)));
    Ok(items.map(|(path, (method, operation))| (method.to_uppercase(), path.clone(), operation)).collect())
}

fn checked_in(style: &Style) -> Outcome {
    let mut findings = Findings::default();
    for (service, document) in (style.api_documents)() {
        let file = format!("{service}.openapi.yaml");
        findings.note(&file, is_checked_in(style, &file, &document.to_yaml()?));
    }
    findings.conclude()
}

/// Compares a style's generated document with the file that is checked in, or writes that file if told to.
pub fn is_checked_in(style: &Style, file: &str, generated: &str) -> Outcome {
    is_what_is_checked_in(&format!("api-specs/{}/{file}", style.name), generated)
}

/// Compares a generated text with the file that is checked in at `path`, or writes that file if told to.
pub fn is_what_is_checked_in(path: &str, generated: &str) -> Outcome {
    let file = workspace_root().join(path);
    if std::env::var_os("UPDATE_SPECS").is_some() {
        std::fs::create_dir_all(file.parent().context("a file in a folder")?)?;
        std::fs::write(&file, generated)?;
    }
    let same = std::fs::read_to_string(&file).is_ok_and(|checked_in| checked_in == generated);
    ensure!(
        same,
        "{path} is not what the code says; write it anew with: UPDATE_SPECS=1 cargo test --release -p study -p tests -- \
         checked_in"
    );
    Ok(())
}

fn every_operation_is_described(style: &Style) -> Outcome {
    let mut findings = Findings::default();
    for service in style.asked_over_http() {
        let document = document(style, service)?;
        ensure!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1.")));
        let mut ids = BTreeSet::new();
        for (method, path, operation) in operations(&document)? {
            let row = format!("{} of {}: {method} {path}", service.name(), style.name);
            findings.note(&row, is_described(operation));
            let unique = ids.insert(operation["operationId"].to_string());
            findings.note(row, unique.then_some(()).context("operationId is not unique"));
        }
    }
    findings.conclude()
}

fn is_described(operation: &Value) -> Outcome {
    let says = |member: &str| operation[member].as_str().is_some_and(|text| !text.is_empty());
    ensure!(says("operationId"), "no operationId");
    ensure!(says("summary") || says("description"), "no summary");
    ensure!(operation["tags"].as_array().is_some_and(|tags| !tags.is_empty()), "no tags");
    let responses = operation["responses"].as_object().context("no responses")?;
    ensure!(responses.contains_key("503"), "no problem for a dependency that is away");
    for (status, response) in responses {
        ensure!(
            response["description"].as_str().is_some_and(|text| !text.is_empty()),
            "{status} is not described"
        );
        if status == "304" {
            ensure!(response.get("content").is_none(), "{status} has content, and no body");
            continue;
        }
        let content = response["content"].as_object().with_context(|| format!("{status} has no content"))?;
        let problem = status.starts_with(['4', '5']);
        let media_type = if problem { "application/problem+json" } else { "application/json" };
        let types: Vec<_> = content.keys().collect();
        ensure!(types == [media_type], "{status} is {types:?} instead of {media_type}");
        ensure!(content[media_type]["schema"].is_object(), "{status} has no schema");
    }
    Ok(())
}

fn gateway_is_the_contract(style: &Style) -> Outcome {
    let document = document(style, Service::Gateway)?;
    let mut operations = operations(&document)?;
    let mut findings = Findings::default();
    let bookings = BOOKINGS.into_iter().filter(|_| style.features.has_bookings);
    for (method, path, answers) in CONTRACT.into_iter().chain(bookings) {
        let Some(at) = operations.iter().position(|known| (&*known.0, &*known.1) == (method, path)) else {
            findings.note(format!("{method} {path}"), Err(anyhow::anyhow!("is missing")));
            continue;
        };
        let (.., operation) = operations.swap_remove(at);
        let with_body: &[u16] = if ["GET", "DELETE"].contains(&method) { &[] } else { &[403, 408, 413, 415] };
        let with_key: &[u16] = if method == "POST" { &[422] } else { &[] };
        for status in [answers, with_body, with_key, &[500, 503]].concat() {
            let known = operation["responses"].get(status.to_string());
            findings
                .note(format!("{method} {path}"), known.map(drop).with_context(|| format!("lacks {status}")));
        }
    }
    for (method, path, _) in operations {
        findings.note(format!("{method} {path}"), Err(anyhow::anyhow!("is not in the contract")));
    }
    findings.conclude()
}

fn order_id_is_internal(style: &Style) -> Outcome {
    let mut findings = Findings::default();
    for (owner, path) in [
        (Service::Billing, "/billing/withdraw/{userId}"),
        (Service::Notification, "/notification/email/{userId}"),
    ] {
        // Asked in another way than HTTP, the owner has no such path.
        let asked = style.asked_over_http();
        let expected = [(owner, true), (Service::Gateway, false)];
        for (service, expected) in expected.into_iter().filter(|(service, _)| asked.contains(service)) {
            let document = document(style, service)?;
            let known = request_fields(&document, path).and_then(|fields| {
                ensure!(fields.contains("orderId") == expected, "the fields are {fields:?}");
                Ok(())
            });
            findings.note(format!("POST {path} of {}", service.name()), known);
        }
    }
    findings.conclude()
}

/// The fields of the body of `POST path`.
fn request_fields(document: &Value, path: &str) -> anyhow::Result<BTreeSet<String>> {
    let schema = &document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"];
    let schema = match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).context("a dangling $ref")?,
        None => schema,
    };
    let fields = schema["properties"].as_object().context("no request body with fields")?;
    Ok(fields.keys().cloned().collect())
}

/// In every place of a schema; `example` would be the keyword of another version of OpenAPI. A key is an example for one request
/// only: a tool would send it with all of them.
fn every_example_is_one(style: &Style) -> Outcome {
    let mut findings = Findings::default();
    for service in style.asked_over_http() {
        let document = document(style, service)?;
        for (place, schema) in schemas(&document) {
            findings.note(&place, schema.get("example").is_none().then_some(()).context("has an example"));
            for example in schema["examples"].as_array().into_iter().flatten() {
                let valid = validator(&document, schema, Draft::Draft202012);
                findings.note(&place, valid.and_then(|valid| conforms(&valid, example)));
            }
        }
        for (method, path, operation) in operations(&document)? {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let is_one = match (parameter["name"].as_str(), parameter.get("example")) {
                    (Some("Idempotency-Key"), example) => example.is_none(),
                    (Some("If-Match"), example) => example.is_some_and(|it| it == "*"),
                    (_, Some(example)) => {
                        validator(&document, &parameter["schema"], Draft::Draft202012)?.is_valid(example)
                    }
                    (_, None) => true,
                };
                findings.note(
                    format!("{method} {path}"),
                    is_one.then_some(()).with_context(|| parameter.to_string()),
                );
            }
        }
    }
    findings.conclude()
}

/// Generators make a type of `enum`, and of nothing else that allows these texts.
fn every_closed_set_is_an_enum(style: &Style) -> Outcome {
    let mut findings = Findings::default();
    for service in style.asked_over_http() {
        let document = document(style, service)?;
        for (place, schema) in schemas(&document) {
            let pattern = schema["pattern"].as_str().and_then(|it| it.strip_prefix("^(")?.strip_suffix(")$"));
            let lists = pattern.is_some_and(|it| {
                it.split('|').all(|it| it.chars().all(|c| c.is_alphanumeric() || c == '-'))
            });
            findings.note(place, (!lists).then_some(()).with_context(|| schema.to_string()));
        }
    }
    let document = document(style, Service::Gateway)?;
    let told = |name: &str, property: &str| {
        document["components"]["schemas"][name]["properties"][property]["enum"].clone()
    };
    findings.note("Email", equal(&told("Email", "status"), &json!(["pending", "sending", "sent", "failed"])));
    let operations = json!(["create-user", "deposit", "withdraw", "pay-order"]);
    findings.note("FinishedRequest", equal(&told("FinishedRequest", "operation"), &operations));
    findings.conclude()
}

fn equal(found: &Value, expected: &Value) -> Outcome {
    ensure!(found == expected, "{found} instead of {expected}");
    Ok(())
}

/// All schemas among the components of `document`, those within others too, by where they are.
fn schemas(document: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    let named = document["components"]["schemas"].as_object().into_iter().flatten();
    let mut open: Vec<(String, &Value)> = named.map(|(name, schema)| (name.clone(), schema)).collect();
    while let Some((place, schema)) = open.pop() {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            open.push((format!("{place}.{name}"), property));
        }
        for list in ["allOf", "anyOf", "oneOf"] {
            open.extend(schema[list].as_array().into_iter().flatten().map(|it| (place.clone(), it)));
        }
        found.push((place, schema));
    }
    found
}

async fn every_service_serves_its_document_and_a_page_that_needs_no_other_host(stage: &mut Stage) -> Outcome {
    let http = Client::builder().no_proxy().build()?;
    let mut findings = Findings::default();
    for service in stage.style.asked_over_http() {
        let base = stage.deployment.url(service);
        let served: Value = get(&http, base.join("/api-docs/openapi.json")?).await?.json().await?;
        let same = served == document(stage.style, service)?;
        let differ = || format!("serves {:?}", methods(&served));
        findings.note(format!("the document of {}", service.name()), same.then_some(()).with_context(differ));
        findings.note(format!("the page of {}", service.name()), browse(&http, base).await);
    }
    findings.conclude()
}

/// Fetches the page and all that it refers to, as a browser would.
async fn browse(http: &Client, base: &Url) -> Outcome {
    let page = get(http, base.join("/api-docs")?).await?;
    let address = page.url().clone();
    let html = page.text().await?;
    ensure!(html.contains("swagger-ui"), "not Swagger UI: {html}");
    let mut scripts = String::new();
    for reference in references(&html) {
        let asset = address.join(reference)?;
        ensure!(asset.origin() == base.origin(), "{asset} is on another host");
        let text = get(http, asset).await?.text().await?;
        ensure!(!text.is_empty(), "{reference} is empty");
        if reference.ends_with("initializer.js") {
            scripts.push_str(&text);
        }
    }
    ensure!(scripts.contains("\"/api-docs/openapi.json\""), "shows another document: {scripts}");
    // Swagger UI shows the document's address to an online validator unless told not to.
    ensure!(scripts.contains("\"validatorUrl\": \"none\""), "asks validator.swagger.io: {scripts}");
    ensure!(!scripts.contains("://"), "refers to another host: {scripts}");
    Ok(())
}

/// What `html` refers to by `href` or `src`.
fn references(html: &str) -> impl Iterator<Item = &str> {
    let values = |attribute| html.split(attribute).skip(1).filter_map(|rest| rest.split('"').next());
    [" href=\"", " src=\""].into_iter().flat_map(values)
}

/// An answer, after redirects that lead to the same host.
async fn get(http: &Client, url: Url) -> anyhow::Result<Response> {
    let response = http.get(url.clone()).send().await?.error_for_status()?;
    if response.url().origin() != url.origin() {
        bail!("{url} redirects to {}", response.url());
    }
    Ok(response)
}
