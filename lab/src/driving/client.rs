//! A client of a gateway, as a user's program would be one, that keeps account of what it was promised.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use domain::{Amount, EventId, Operation, OrderId, RequestId, UserId};
use futures_util::future::BoxFuture;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use url::Url;
use uuid::Uuid;

use super::acknowledged::{Acknowledged, Letter};
use super::eventually::eventually;

/// The longest that a client may wait for an outcome, by the contract.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// How long a patient client waits before it repeats a request.
const REPEAT: Duration = Duration::from_millis(200);
/// How long an answer may take: longer than that.
const ANSWER_MAX: Duration = Duration::from_secs(40);

/// An answer, read whole.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; null when there is none, or when it is not JSON.
    pub body: Value,
    /// From the request to the last byte of the answer.
    pub elapsed: Duration,
}

impl Reply {
    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// `code` of a problem.
    pub fn code(&self) -> Option<&str> {
        self.body["code"].as_str()
    }

    /// `orderId`, of a created order or of a refused one.
    pub fn order_id(&self) -> Option<OrderId> {
        self.body["orderId"].as_i64().map(OrderId)
    }

    /// The address of the next page of a list, while there is one.
    ///
    /// # Errors
    /// When `Link` does not say.
    pub fn next_page(&self) -> anyhow::Result<Option<&str>> {
        let Some(link) = self.header("link") else { return Ok(None) };
        let address = link.strip_prefix('<').and_then(|rest| rest.strip_suffix(">; rel=\"next\""));
        Ok(Some(address.with_context(|| format!("not a link to the next page: {link}"))?))
    }

    /// `requestId` of a request whose outcome is not known yet.
    pub fn request_id(&self) -> Option<RequestId> {
        self.body["requestId"].as_str()?.parse().ok()
    }
}

/// A client of the gateway at an address.
#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    base: Url,
    acknowledged: Arc<Mutex<Acknowledged>>,
    is_patient: bool,
}

impl Api {
    /// A client of the gateway at `base`.
    pub fn new(base: Url) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ANSWER_MAX)
            .build()
            .expect("an HTTP client without TLS sets up nothing that can fail");
        Self { http, base, acknowledged: Arc::default(), is_patient: false }
    }

    /// The same client with patience, for machines that may be slow: where a request does not say how long it wants to wait for
    /// its outcome, it is as long as one may; and while it is told that nobody knows of one (503), it repeats the request under
    /// the same key.
    #[must_use]
    pub fn patient(self) -> Self {
        Self { is_patient: true, ..self }
    }

    /// The same client at another gateway: what it is promised there is on the same account.
    #[must_use]
    pub fn at(&self, base: Url) -> Self {
        Self { base, ..self.clone() }
    }

    /// Where the gateway is.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// What this client was promised so far.
    pub fn acknowledged(&self) -> Acknowledged {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Pretends that `order` was acknowledged as paid: for showing that broken promises are found.
    pub fn promise_order(&self, order: OrderId) {
        self.remember(|known| _ = known.orders.insert(order, "paid"));
    }

    /// Notes that a message which can never be handled was put on `topic` on purpose, and what has to come of it.
    pub fn expect_dead_letter(&self, topic: &str, partition: i32, offset: i64, letter: Letter) {
        self.remember(|known| _ = known.poison.insert((topic.to_owned(), partition, offset), letter));
    }

    /// Starts the account of what was promised anew.
    pub fn forget_promises(&self) {
        self.remember(|known| *known = Acknowledged::default());
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// When there is none.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> anyhow::Result<Reply> {
        self.exchange(method, path, headers, body.into()).await
    }

    fn exchange<'a>(
        &'a self,
        method: Method,
        path: &'a str,
        headers: &'a [(&'a str, &'a str)],
        body: reqwest::Body,
    ) -> BoxFuture<'a, anyhow::Result<Reply>> {
        Box::pin(async move {
            let says = |wanted| headers.iter().any(|(name, _)| *name == wanted);
            let is_patient = self.is_patient && method == Method::POST && !says("prefer");
            let mut request = self
                .http
                .request(method, self.base.join(&format!("./{}", path.strip_prefix('/').unwrap_or(path)))?)
                .body(body);
            for (name, value) in headers {
                request = request.header(HeaderName::try_from(*name)?, HeaderValue::from_str(value)?);
            }
            if is_patient {
                request = request.header("prefer", format!("wait={}", WAIT_MAX.as_secs()));
                if !says("idempotency-key") {
                    request = request.header("idempotency-key", Uuid::new_v4().to_string());
                }
            }
            let deadline = Instant::now() + WAIT_MAX;
            loop {
                let again = request.try_clone().filter(|_| is_patient && Instant::now() < deadline);
                let reply = read(request).await?;
                match again {
                    Some(again) if reply.status == StatusCode::SERVICE_UNAVAILABLE => request = again,
                    _ => return Ok(reply),
                }
                sleep(REPEAT).await;
            }
        })
    }

    /// `GET path`
    pub async fn get(&self, path: &str) -> anyhow::Result<Reply> {
        self.send(Method::GET, path, &[], "").await
    }

    /// `POST path` with `body` and `headers`.
    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> anyhow::Result<Reply> {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        self.send(Method::POST, path, &all, body.to_string()).await
    }

    /// Registers a user of a name nobody has, and says who that is.
    ///
    /// # Errors
    /// When the answer is not 201.
    pub async fn create_user(&self) -> anyhow::Result<UserId> {
        let name = format!("user-{}", Uuid::new_v4().simple());
        let body = json!({"username": name, "password": "correct horse", "email": format!("{name}@example.org"),
            "firstName": "Ann", "lastName": "Petrova", "phone": "+7 495 000-00-00"});
        let reply = self.post("billing/user", &[], &body).await?;
        self.remember_accepted(&reply);
        if reply.status != StatusCode::CREATED {
            bail!("creating a user: {} {}", reply.status, reply.body);
        }
        let user = UserId(reply.body["userId"].as_i64().context("userId is missing")?);
        self.remember(|known| known.users.push(user));
        Ok(user)
    }

    /// Registers a user and deposits `minor_units`, unless that is 0.
    ///
    /// # Errors
    /// When either is refused.
    pub async fn create_user_with(&self, minor_units: i64) -> anyhow::Result<UserId> {
        let user = self.create_user().await?;
        if let Ok(amount) = Amount::new(minor_units) {
            self.deposit(user, amount.minor_units()).await?;
        }
        Ok(user)
    }

    /// `POST /billing/deposit/{userId}`
    pub async fn deposit(&self, user: UserId, minor_units: i64) -> anyhow::Result<Reply> {
        let reply =
            self.post(&format!("billing/deposit/{user}"), &[], &json!({"amount": minor_units})).await?;
        if reply.status == StatusCode::OK {
            self.remember(|known| *known.deposits.entry(user).or_default() += minor_units);
        }
        self.remember_accepted(&reply);
        Ok(reply)
    }

    /// `PUT /billing/user/{userId}`
    pub async fn update_profile(
        &self,
        user: UserId,
        profile: &Value,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<Reply> {
        let path = format!("billing/user/{user}");
        let reply = self.send(Method::PUT, &path, headers, profile.to_string()).await?;
        if let (StatusCode::OK, Some(version)) = (reply.status, reply.body["version"].as_i64()) {
            self.remember(|known| {
                let newest = known.profiles.entry(user).or_default();
                *newest = version.max(*newest);
            });
        }
        Ok(reply)
    }

    /// `POST /billing/withdraw/{userId}`
    pub async fn withdraw(&self, user: UserId, minor_units: i64) -> anyhow::Result<Reply> {
        let reply =
            self.post(&format!("billing/withdraw/{user}"), &[], &json!({"amount": minor_units})).await?;
        if reply.status == StatusCode::OK {
            self.remember(|known| *known.withdrawals.entry(user).or_default() += minor_units);
        }
        Ok(reply)
    }

    /// `POST /orders`
    pub async fn order(&self, user: UserId, price: i64, headers: &[(&str, &str)]) -> anyhow::Result<Reply> {
        let reply = self.post("orders", headers, &json!({"userId": user, "price": price})).await?;
        self.remember_order(reply.status, &reply.body);
        Ok(reply)
    }

    /// Keeps account of an answer to `POST /orders` or `POST /bookings`.
    pub fn remember_order(&self, status: StatusCode, body: &Value) {
        let order = body["orderId"].as_i64().map(OrderId);
        let request = || -> Option<RequestId> { body["requestId"].as_str()?.parse().ok() };
        self.remember(|known| match (status, order) {
            (StatusCode::CREATED, Some(order)) => _ = known.orders.insert(order, "paid"),
            (_, Some(order)) => _ = known.orders.insert(order, "rejected"),
            (StatusCode::ACCEPTED, None) => known.requests.extend(request()),
            _ => {}
        });
    }

    /// Says how many seats an event has.
    pub async fn set_capacity(&self, event: EventId, capacity: i64) -> anyhow::Result<Reply> {
        let (path, body) = (format!("tickets/{event}"), json!({"capacity": capacity}));
        self.send(Method::PUT, &path, &[("content-type", "application/json")], body.to_string()).await
    }

    /// Orders a ticket.
    pub async fn book(
        &self,
        user: UserId,
        price: i64,
        event: EventId,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<Reply> {
        let body = json!({"userId": user, "price": price, "eventId": event});
        let reply = self.post("bookings", headers, &body).await?;
        self.remember_order(reply.status, &reply.body);
        Ok(reply)
    }

    /// Cancels a booking.
    pub async fn cancel(&self, booking: OrderId) -> anyhow::Result<Reply> {
        self.send(Method::DELETE, &format!("bookings/{booking}"), &[], "").await
    }

    /// The request id that the contract derives from an `Idempotency-Key` of `POST /bookings`.
    pub fn booking_request(key: &str) -> RequestId {
        RequestId::derive(Operation::CreateBooking, key)
    }

    /// The request id that the contract derives from an `Idempotency-Key` of `POST /orders`.
    pub fn order_request(key: &str) -> RequestId {
        RequestId::derive(Operation::CreateOrder, key)
    }

    /// The balance of `user`.
    pub async fn balance(&self, user: UserId) -> anyhow::Result<i64> {
        let reply = self.get(&format!("billing/user/{user}")).await?;
        reply.body["balance"].as_i64().with_context(|| format!("no balance: {} {}", reply.status, reply.body))
    }

    /// The emails to `user`, oldest first.
    pub async fn emails(&self, user: UserId) -> anyhow::Result<Vec<Value>> {
        self.list(&format!("notification/email/{user}?limit=100")).await
    }

    /// All entries of a list, from its page `first` on.
    ///
    /// # Errors
    /// When a page is none.
    pub async fn list(&self, first: &str) -> anyhow::Result<Vec<Value>> {
        let (mut found, mut next) = (Vec::new(), Some(first.to_owned()));
        while let Some(address) = next {
            let reply = self.get(&address).await?;
            let page = reply.body.as_array().filter(|_| reply.status == StatusCode::OK);
            found.extend_from_slice(
                page.with_context(|| format!("no page: {} {}", reply.status, reply.body))?,
            );
            next = reply.next_page()?.map(str::to_owned);
        }
        Ok(found)
    }

    /// Waits for the order that a request led to.
    ///
    /// # Errors
    /// When it is not terminal after `longest`.
    pub async fn outcome(&self, request: RequestId, longest: Duration) -> anyhow::Result<Reply> {
        eventually(longest, async || {
            let reply = self.get(&format!("orders/requests/{request}")).await?;
            if reply.status == StatusCode::OK { Ok(reply) } else { bail!("{} {}", reply.status, reply.body) }
        })
        .await
    }

    fn remember_accepted(&self, reply: &Reply) {
        if reply.status == StatusCode::ACCEPTED {
            self.remember(|known| known.accepted.extend(reply.request_id()));
        }
    }

    fn remember(&self, what: impl FnOnce(&mut Acknowledged)) {
        what(&mut self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Sends `request` and reads the whole answer.
async fn read(request: reqwest::RequestBuilder) -> anyhow::Result<Reply> {
    let started = Instant::now();
    let answer = request.send().await?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let bytes = answer.bytes().await?;
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Ok(Reply { status, headers, body, elapsed: started.elapsed() })
}
