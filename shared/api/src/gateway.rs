//! What every gateway does the same way: pass requests on to their owner, and the owner's answer back.

use axum::body::Body;
use axum::extract::{FromRequestParts as _, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::MethodRouter;
use clap::Args;
use domain::UserId;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use url::Url;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;
use web::{
    Answer, BODY_BYTES_MAX, Call, Check, Client, ClientSettings, Json, Path, Peer, PeerError, Problem, Retry,
};

use crate::docs::{
    BadRequest, Internal, KeyReused, NotFound, PreconditionFailed, TooLarge, Unavailable, handled_by,
};
use crate::types::{AccountBalance, EmailAccepted, SendEmailRequest, WithdrawRequest};
use crate::{
    ApiError, IDEMPOTENCY_KEY, IdempotencyKey, IdempotencyKeyHeader, billing, bookings, notification, order,
    request_deadline, tickets,
};

/// The services behind a gateway.
#[derive(Clone)]
pub struct Peers {
    /// Owner of users and accounts.
    pub billing: Peer,
    /// Owner of orders.
    pub order: Peer,
    /// Owner of emails.
    pub notification: Peer,
}

/// Where the services behind a gateway are.
#[derive(Clone, Debug, Args)]
pub struct PeerSettings {
    /// The address of billing, such as `http://billing:8080`.
    #[arg(long, env = "BILLING_URL")]
    pub billing_url: Url,
    /// The address of the order service, such as `http://order:8080`.
    #[arg(long, env = "ORDER_URL")]
    pub order_url: Url,
    /// The address of notification, such as `http://notification:8080`.
    #[arg(long, env = "NOTIFICATION_URL")]
    pub notification_url: Url,
}

impl Peers {
    /// Peers that nobody calls: enough to ask the routes for their document.
    pub fn nowhere() -> Self {
        let settings = ClientSettings { connect_timeout_ms: 0, call_timeout_ms: 0, outstanding_max: 0 };
        let client = Client::new(settings).expect("an HTTP client without TLS sets up nothing that can fail");
        let url: Url = "http://nowhere.invalid".parse().expect("a URL");
        PeerSettings { billing_url: url.clone(), order_url: url.clone(), notification_url: url }
            .connect(&client)
    }
}

impl Peers {
    /// Checks that say who is away; without them a gateway can do something all the same.
    pub fn checks(&self) -> [Check; 3] {
        [&self.order, &self.billing, &self.notification].map(is_there)
    }
}

/// A check that says whether `peer` is away.
fn is_there(peer: &Peer) -> Check {
    let peer = peer.clone();
    Check::optional(peer.name(), move || {
        let peer = peer.clone();
        async move { peer.probe().await }
    })
}

impl PeerSettings {
    /// The services, not called yet.
    pub fn connect(self, client: &Client) -> Peers {
        Peers {
            billing: client.peer("billing", self.billing_url),
            order: client.peer("order", self.order_url),
            notification: client.peer("notification", self.notification_url),
        }
    }
}

/// The services behind a gateway of a style with bookings.
#[derive(Clone)]
pub struct BookingPeers {
    /// Those of every style.
    pub usual: Peers,
    /// Owner of events and their seats.
    pub ticket: Peer,
}

/// Where they are.
#[derive(Clone, Debug, Args)]
pub struct BookingPeerSettings {
    #[command(flatten)]
    usual: PeerSettings,
    /// The address of the ticket service, such as `http://ticket:8080`.
    #[arg(long, env = "TICKET_URL")]
    ticket_url: Url,
}

impl BookingPeers {
    /// As [`Peers::nowhere`].
    pub fn nowhere() -> Self {
        let usual = Peers::nowhere();
        Self { ticket: usual.order.clone(), usual }
    }

    /// As [`Peers::checks`].
    pub fn checks(&self) -> impl Iterator<Item = Check> {
        self.usual.checks().into_iter().chain([is_there(&self.ticket)])
    }
}

impl BookingPeerSettings {
    /// The services, not called yet.
    pub fn connect(self, client: &Client) -> BookingPeers {
        let ticket = client.peer("ticket", self.ticket_url);
        BookingPeers { usual: self.usual.connect(client), ticket }
    }
}

/// Headers of a request that mean something to the owner.
const REQUEST_HEADERS: [HeaderName; 4] =
    [header::CONTENT_TYPE, header::IF_MATCH, header::IF_NONE_MATCH, HeaderName::from_static("prefer")];
/// Headers of an answer that mean something to the client.
const ANSWER_HEADERS: [HeaderName; 6] = [
    header::CONTENT_TYPE,
    header::ETAG,
    header::LINK,
    header::LOCATION,
    header::RETRY_AFTER,
    HeaderName::from_static("preference-applied"),
];

/// The routes that are passed on over HTTP in every style: reads, the profile update, the direct withdrawal, the direct
/// email.
pub fn routes(peers: &Peers) -> OpenApiRouter {
    use axum::routing::get;
    let Peers { billing, order, notification } = peers;
    OpenApiRouter::new()
        .routes(passed_on(
            routes!(billing::get_user, billing::update_profile),
            get(pass_on).put(pass_on),
            billing,
        ))
        .routes(passed_on(routes!(billing::get_request), get(pass_on), billing))
        .routes(passed_on(routes!(order::list_orders), get(pass_on), order))
        .routes(passed_on(routes!(order::get_order), get(pass_on), order))
        .routes(passed_on(routes!(order::get_order_request), get(pass_on), order))
        .routes(passed_on(routes!(notification::list_emails), get(pass_on), notification))
        .merge(OpenApiRouter::new().routes(routes!(withdraw)).with_state(billing.clone()))
        .merge(OpenApiRouter::new().routes(routes!(send_email)).with_state(notification.clone()))
}

/// The routes of bookings, for a gateway that passes them on: to the owner of orders, who calls others, and to the owner of seats.
pub fn booking_routes(BookingPeers { usual: Peers { order, .. }, ticket }: &BookingPeers) -> OpenApiRouter {
    use axum::routing::{delete, get, post};
    let seats = routes!(tickets::set_capacity, tickets::get_event);
    bookings::routes(post(pass_on_and_wait), delete(pass_on))
        .with_state(order.clone())
        .routes(passed_on(routes!(bookings::get_booking), get(pass_on), order))
        .routes(passed_on(seats, get(pass_on).put(pass_on), ticket))
}

/// A route that `owner` documents and that `handler` passes on to `peer`.
pub fn passed_on<O>(
    documented: UtoipaMethodRouter<O>,
    handler: MethodRouter<Peer>,
    peer: &Peer,
) -> UtoipaMethodRouter {
    handled_by(documented, handler.with_state(peer.clone()))
}

/// Passes a request on as it is; again if it may be repeated, since the owner is the last service on the path.
pub async fn pass_on(State(owner): State<Peer>, request: Request) -> Result<Response, Problem> {
    let (call, key) = call_like(request).await?;
    answered(owner.send(call).await, key.as_ref())
}

/// Passes a request on to an owner that calls others itself: waits as long as the client does, and leaves retrying to the
/// owner, so that one layer retries and not two.
pub async fn pass_on_and_wait(State(owner): State<Peer>, request: Request) -> Result<Response, Problem> {
    let deadline = request_deadline(&request);
    let (call, key) = call_like(request).await?;
    answered(owner.send(call.retry(Retry::No).timeout(deadline)).await, key.as_ref())
}

/// The request as a call of its owner, and the key of one that has an effect.
async fn call_like(request: Request) -> Result<(Call, Option<IdempotencyKey>), Problem> {
    let (mut parts, body) = request.into_parts();
    // A route here matches one path segment, whatever is in it; to a URL parser `..\withdraw` is more than one.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_');
    if !parts.uri.path().bytes().all(plain) {
        return Err(Problem::not_found("There is nothing at this path."));
    }
    let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| Problem::too_large())?;
    // The answer to HEAD is the answer to GET, of which the server sends the head alone.
    let method = if parts.method == Method::HEAD { Method::GET } else { parts.method.clone() };
    let mut call = Call::new(method.clone(), path_and_query(&parts)).body(body);
    for name in REQUEST_HEADERS {
        for line in parts.headers.get_all(&name) {
            call = call.header_line(name.clone(), line.clone());
        }
    }
    match method {
        Method::GET => Ok((call.retry(Retry::Yes), None)),
        // Without a key of the client's the gateway makes one, so that the request has an id all the way.
        Method::POST => {
            let key = IdempotencyKey::from_request_parts(&mut parts, &()).await?;
            Ok((call.header(IDEMPOTENCY_KEY, key.header_value()).retry(Retry::Yes), Some(key)))
        }
        _ => Ok((call, None)),
    }
}

/// Takes money from an account, if it is there.
#[utoipa::path(post, path = "/billing/withdraw/{userId}", tag = "billing",
    params(("userId" = inline(UserId), Path), IdempotencyKeyHeader),
    request_body = WithdrawRequest,
    responses((status = 200, description = "What the account holds now.", body = AccountBalance),
        BadRequest, NotFound, PreconditionFailed, TooLarge, KeyReused, Internal, Unavailable))]
pub(crate) async fn withdraw(
    State(billing): State<Peer>,
    Path(user): Path<UserId>,
    key: IdempotencyKey,
    Json(request): Json<WithdrawRequest>,
) -> Result<Response, Problem> {
    pass_on_public(&billing, format!("/billing/withdraw/{user}"), &key, &request).await
}

/// Stores an email; it is sent right after.
#[utoipa::path(post, path = "/notification/email/{userId}", tag = "notification",
    params(("userId" = inline(UserId), Path), IdempotencyKeyHeader),
    request_body = SendEmailRequest,
    responses((status = 202, description = "Stored, will be sent.", body = EmailAccepted),
        BadRequest, NotFound, TooLarge, KeyReused, Internal, Unavailable))]
pub(crate) async fn send_email(
    State(notification): State<Peer>,
    Path(user): Path<UserId>,
    key: IdempotencyKey,
    Json(request): Json<SendEmailRequest>,
) -> Result<Response, Problem> {
    pass_on_public(&notification, format!("/notification/email/{user}"), &key, &request).await
}

/// Passes on only what is public: a client cannot say that a withdrawal or an email belongs to an order.
async fn pass_on_public(
    peer: &Peer,
    path: String,
    key: &IdempotencyKey,
    request: &impl serde::Serialize,
) -> Result<Response, Problem> {
    let call = Call::post(path, request).header(IDEMPOTENCY_KEY, key.header_value()).retry(Retry::Yes);
    answered(peer.send(call).await, Some(key))
}

/// The owner's answer, or why there is none. A 503 names the key under which the request can be repeated: a client that sent
/// none has no other way to find out what became of it.
fn answered(answer: Result<Answer, PeerError>, key: Option<&IdempotencyKey>) -> Result<Response, Problem> {
    let with_key = |problem: Problem| match key {
        Some(key) => problem.with("idempotencyKey", key.as_str()),
        None => problem,
    };
    let answer = answer.map_err(|error| with_key(Problem::from(ApiError::from(error))))?;
    if let (StatusCode::SERVICE_UNAVAILABLE, Ok(mut problem)) = (answer.status, answer.json::<Problem>()) {
        problem.retry_after_seconds = Some(1);
        return Err(with_key(problem));
    }
    let mut headers = HeaderMap::new();
    for name in ANSWER_HEADERS {
        if let Some(value) = answer.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    // A body without a type stays one: 304 has neither.
    Ok((answer.status, headers, Body::from(answer.body)).into_response())
}

fn path_and_query(parts: &Parts) -> String {
    parts.uri.path_and_query().map_or_else(|| parts.uri.path().to_owned(), ToString::to_string)
}
