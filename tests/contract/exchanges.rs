//! What really passes over HTTP, against the OpenAPI document of the service that was asked: every operation of every
//! service, with every answer that its document has.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use domain::{EventId, Operation, OrderId, RequestId, UserId};
use lab::{Api, Service};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Findings;
use super::openapi::{Documented, Exchange, mutilations_are_found};
use crate::harness::{Outcome, Stage, Suite, cases};

/// Answers that are not to be had by asking; for 408 one must not ask to the end.
const OUT_OF_ORDER: [u16; 3] = [408, 500, 503];
/// The largest body that a request may have.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// More than any account holds.
const TOO_MUCH: i64 = 1_000_000;
const NOBODY: UserId = UserId(987_654_321);

pub fn register(suite: &mut Suite) {
    cases!(
        suite,
        "documents",
        [
            every_operation_is_asked_and_answered_as_its_document_says,
            what_is_answered_for_a_service_that_is_away_is_in_the_document,
        ]
    );
}

async fn every_operation_is_asked_and_answered_as_its_document_says(stage: &mut Stage) -> Outcome {
    let cast = Cast::assemble(stage).await?;
    let mut findings = Findings::default();
    for service in stage.style.asked_over_http() {
        let (documented, api) = (Documented::of(stage.style, service)?, stage.api_of(service));
        for operation in documented.operations() {
            let mut unseen: BTreeSet<u16> = operation.statuses().collect();
            for request in cast.requests(service, &operation.method, &operation.path) {
                let exchange = request.send(&api).await?;
                judge(&mut findings, service, &documented, &exchange);
                unseen.remove(&exchange.reply.status.as_u16());
            }
            // One has to be fast enough for that; `scenario/bookings.rs` is.
            if operation.method == Method::DELETE {
                unseen.remove(&202);
            }
            let never = unseen.difference(&OUT_OF_ORDER.into()).map(u16::to_string).collect::<Vec<_>>();
            let all_seen = never.is_empty().then_some(());
            findings.note(
                format!("{} {} of {}", operation.method, operation.path, service.name()),
                all_seen.with_context(|| format!("was never answered with {}", never.join(", "))),
            );
        }
    }
    findings.conclude()
}

async fn what_is_answered_for_a_service_that_is_away_is_in_the_document(stage: &mut Stage) -> Outcome {
    let user = stage.api.create_user().await?;
    let documented = Documented::of(stage.style, Service::Gateway)?;
    stage.deployment.kill(Service::Billing).await?;
    let mut findings = Findings::default();
    let amount = json!({"amount": 1});
    for request in [
        Request::get(format!("/billing/user/{user}")),
        Request::new(Method::POST, format!("/billing/withdraw/{user}"), amount.to_string()),
    ] {
        let exchange = request.send(&stage.api_of(Service::Gateway)).await?;
        ensure!(exchange.reply.status == StatusCode::SERVICE_UNAVAILABLE, "{exchange}");
        judge(&mut findings, Service::Gateway, &documented, &exchange);
    }
    stage.deployment.start_service(Service::Billing).await?;
    findings.conclude()
}

fn judge(findings: &mut Findings, service: Service, documented: &Documented, exchange: &Exchange) {
    let row = format!("{}: {exchange}", service.name());
    findings.note(&row, documented.check(exchange));
    findings.note(&row, mutilations_are_found(documented, exchange));
}

/// A request that is to be sent.
struct Request {
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Request {
    fn new(method: Method, path: impl Into<String>, body: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: Vec::new(), body: body.into() }
    }

    fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path, "")
    }

    fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    async fn send(self, api: &Api) -> anyhow::Result<Exchange> {
        let Self { method, path, headers, body } = self;
        let borrowed: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let reply = api.send(method.clone(), &path, &borrowed, body.clone()).await?;
        Ok(Exchange { method, path_and_query: path, headers, body, reply })
    }
}

/// What requests are about.
struct Cast {
    user: UserId,
    /// Another user, whose names are taken.
    other: Value,
    paid: OrderId,
    rejected: OrderId,
    for_an_order: RequestId,
    /// One of each operation, and one of them refused.
    to_billing: Vec<RequestId>,
    /// A paid one, in a style with bookings.
    booking: Option<OrderId>,
}

/// An event with seats enough, and one with none.
const EVENTS: [EventId; 2] = [EventId(1), EventId(2)];

impl Cast {
    async fn assemble(stage: &Stage) -> anyhow::Result<Self> {
        let (api, key) = (&stage.api, [("idempotency-key", "cast")]);
        let user = api.create_user_with(1_000).await?;
        let other = api.get(&format!("/billing/user/{}", api.create_user().await?)).await?.body;
        let paid = api.order(user, 10, &key).await?.order_id().context("no order")?;
        let rejected = api.order(user, TOO_MUCH, &[]).await?.order_id().context("no order")?;
        api.post("/billing/user", &key, &registration()).await?;
        api.post(&format!("/billing/deposit/{user}"), &key, &json!({"amount": 1})).await?;
        api.post(&format!("/billing/withdraw/{user}"), &key, &json!({"amount": TOO_MUCH})).await?;
        let for_an_order = Api::order_request("cast");
        let payment = RequestId::derive(Operation::PayOrder, &for_an_order.to_string());
        let to_billing = [Operation::CreateUser, Operation::Deposit, Operation::Withdraw]
            .map(|operation| RequestId::derive(operation, "cast"))
            .into_iter()
            .chain([payment])
            .collect();
        let mut booking = None;
        if stage.style.features.has_bookings {
            for (event, capacity) in EVENTS.into_iter().zip([1_000, 0]) {
                api.set_capacity(event, capacity).await?;
            }
            booking = api.book(user, 10, EVENTS[0], &[]).await?.order_id();
        }
        Ok(Self { user, other, paid, rejected, for_an_order, to_billing, booking })
    }

    /// What makes an operation give every answer that its document has.
    fn requests(&self, service: Service, method: &Method, path: &str) -> Vec<Request> {
        if *method == Method::GET {
            return self.questions(path);
        }
        let named = |path: &str, whom: &str| {
            ["{userId}", "{orderId}", "{eventId}"]
                .iter()
                .fold(path.to_owned(), |path, it| path.replace(it, whom))
        };
        let send_about = |whom: &str, body: String| Request::new(method.clone(), named(path, whom), body);
        if *method == Method::DELETE {
            let about =
                self.booking.iter().map(OrderId::to_string).chain([NOBODY.to_string(), "abc".to_owned()]);
            let asked = about.map(|whom| send_about(&whom, String::new()));
            return match service {
                Service::Gateway => {
                    let foreign = send_about("1", String::new()).header("origin", "https://evil.example");
                    asked.chain([foreign]).collect()
                }
                _ => asked.collect(),
            };
        }
        let (user, nobody) = (self.user.to_string(), NOBODY.to_string());
        let send = |body| send_about(&user, body);
        let valid = |number| self.body(path, number).to_string();
        let (bare, quoted) = (format!("{} a\"b", Uuid::new_v4()), format!(r#""{} \" \\""#, Uuid::new_v4()));
        let mut requests = vec![
            send("[]".to_owned()),
            send(valid(1) + &" ".repeat(BODY_BYTES_MAX)),
            send_about("abc", valid(2)),
            send_about(&nobody, valid(3)),
            send(valid(4)).header("prefer", "wait=30").header("idempotency-key", &quoted),
            // The key of another request.
            send(valid(5)).header("idempotency-key", &quoted),
            send(valid(6)).header("prefer", "respond-async").header("idempotency-key", &bare),
            send(valid(7)).header("idempotency-key", "\"open").header("if-match", "newest"),
            send(valid(8)).header("if-match", "\"99\""),
            send(valid(9)).header("if-match", "*"),
            send(valid(10)).header("content-encoding", "gzip"),
        ];
        if service == Service::Gateway {
            requests.push(send(valid(11)).header("origin", "https://evil.example"));
        }
        if path == "/tickets/{eventId}" {
            requests.push(send_about(&fastrand::u32(1_000..).to_string(), valid(12)));
        }
        requests.extend(self.refused(service, path).into_iter().map(|body| send(body.to_string())));
        requests
    }

    fn questions(&self, path: &str) -> Vec<Request> {
        let known = match path {
            "/orders" => {
                return ["", "?limit=1", "?limit=0", "?userId=1&after=1", "?after=abc"]
                    .map(|query| Request::get(format!("/orders{query}")))
                    .into();
            }
            "/notification/email/{userId}" => {
                let user = self.user;
                vec![user.to_string(), format!("{user}?limit=1"), format!("{user}?limit=0&after=1")]
            }
            "/orders/{orderId}" => vec![self.paid.to_string(), self.rejected.to_string()],
            "/bookings/{orderId}" => self.booking.iter().map(OrderId::to_string).collect(),
            "/tickets/{eventId}" => EVENTS.iter().map(EventId::to_string).collect(),
            "/orders/requests/{requestId}" => vec![self.for_an_order.to_string()],
            "/billing/requests/{requestId}" => self.to_billing.iter().map(RequestId::to_string).collect(),
            _ => vec![self.user.to_string()],
        };
        let unknown = [Uuid::new_v4().to_string(), NOBODY.to_string(), "abc".to_owned()];
        let collection = path.split('{').next().unwrap_or_default();
        let has_it_all = Request::get(format!("{collection}{}", known[0])).header("if-none-match", "*");
        let ask = |id| Request::get(format!("{collection}{id}"));
        known.into_iter().chain(unknown).map(ask).chain([has_it_all]).collect()
    }

    /// A body that is accepted; another for every number.
    fn body(&self, path: &str, number: i64) -> Value {
        match path {
            "/billing/user" => registration(),
            "/billing/user/{userId}" => {
                json!({"firstName": "Ann", "lastName": null, "email": format!("{}@example.org", Uuid::new_v4())})
            }
            "/orders" => json!({"userId": self.user, "price": number}),
            "/bookings" => json!({"userId": self.user, "price": number, "eventId": EVENTS[0]}),
            "/tickets/{eventId}" => json!({"capacity": 1_000 + number}),
            "/notification/email/{userId}" => {
                json!({"email": "ann@example.org", "title": number.to_string(), "message": "Hi!\n"})
            }
            _ => json!({"amount": number}),
        }
    }

    /// Bodies that are understood and refused.
    fn refused(&self, service: Service, path: &str) -> Vec<Value> {
        let Self { other, .. } = self;
        match path {
            "/billing/user" => {
                vec![json!({"username": other["username"], "password": "p", "email": "new@example.org"})]
            }
            "/billing/user/{userId}" => vec![json!({"email": other["email"]})],
            "/billing/withdraw/{userId}" if service == Service::Billing => {
                vec![json!({"amount": TOO_MUCH}), json!({"amount": 1, "orderId": self.paid})]
            }
            "/billing/withdraw/{userId}" => vec![json!({"amount": TOO_MUCH})],
            "/orders" => {
                vec![json!({"userId": self.user, "price": TOO_MUCH}), json!({"userId": NOBODY, "price": 1})]
            }
            "/tickets/{eventId}" => vec![json!({"capacity": 0})],
            "/bookings" => {
                let book = |user: UserId, price: i64, event: EventId| json!({"userId": user, "price": price, "eventId": event});
                let (user, sold_out) = (self.user, EVENTS[1]);
                vec![book(user, TOO_MUCH, EVENTS[0]), book(user, 1, sold_out), book(user, 1, EventId(99))]
            }
            _ => vec![],
        }
    }
}

/// A user whom nobody knows yet.
fn registration() -> Value {
    let name = Uuid::new_v4().simple().to_string();
    json!({"username": name, "password": "correct horse", "email": format!("{name}@example.org"), "phone": null})
}
