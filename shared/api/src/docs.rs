//! OpenAPI: every service's document, served at `/api-docs/openapi.json` and as a page at `/api-docs`.

use std::collections::BTreeSet;
use std::mem;

use axum::Router;
use axum::middleware::map_response;
use axum::response::{IntoResponse as _, Response};
use axum::routing::MethodRouter;
use domain::OrderId;
use http::StatusCode;
use serde::Serialize;
use utoipa::IntoResponses as _;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, RefOr, Schema, Server,
};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::types::RequestAccepted;

/// Starts the routes of `service` in `style`; its document says who it is.
pub fn documented<S: Clone + Send + Sync + 'static>(
    style: &str,
    service: &str,
    about: &str,
) -> OpenApiRouter<S> {
    let info = InfoBuilder::new()
        .title(format!("{service} ({style})"))
        .description(Some(about))
        .version(env!("CARGO_PKG_VERSION"))
        .license(Some(
            LicenseBuilder::new().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0")).build(),
        ))
        .build();
    let tags = [
        ("billing", "Users, their accounts, and the money on them."),
        ("orders", "Orders, from pending to paid or rejected."),
        ("bookings", "Orders with a ticket."),
        ("tickets", "Events and their seats."),
        ("notification", "Emails, stored first and sent later."),
    ];
    let tags = tags.map(|(name, about)| TagBuilder::new().name(name).description(Some(about)).build());
    OpenApiRouter::with_openapi(
        OpenApiBuilder::new()
            .info(info)
            .servers(Some([Server::new("/")]))
            // No authentication, by design.
            .security(Some([]))
            .tags(Some(tags))
            .components(Some(ComponentsBuilder::new().schema_from::<Problem>().build()))
            .build(),
    )
}

/// A route that is documented in one place and handled in another: written down once, so that the two documents cannot differ.
pub fn handled_by<D, S>(
    (schemas, paths, _): UtoipaMethodRouter<D>,
    handler: MethodRouter<S>,
) -> UtoipaMethodRouter<S> {
    (schemas, paths, handler)
}

/// The document of a service whose routes are documented in `parts`; the first says who it is.
pub fn document(parts: impl IntoIterator<Item = OpenApi>) -> OpenApi {
    let mut document = parts.into_iter().reduce(OpenApi::merge_from).unwrap_or_default();
    // Tags that no route here carries would only confuse.
    let mut used = BTreeSet::new();
    let is_gateway = document.info.title.starts_with("gateway ");
    for item in document.paths.paths.values_mut() {
        let PathItem { get, put, post, patch, delete, .. } = item;
        for operation in [put, post, patch, delete].into_iter().flatten() {
            describe_frame(operation, is_gateway);
            used.extend(operation.tags.iter().flatten().cloned());
        }
        used.extend(get.iter().flat_map(|operation| &operation.tags).flatten().cloned());
    }
    document.tags =
        document.tags.map(|tags| tags.into_iter().filter(|tag| used.contains(&tag.name)).collect());
    let components = document.components.iter_mut();
    components.flat_map(|components| components.schemas.values_mut()).for_each(describe_in_place);
    document
}

/// Adds what the server's frame answers before a handler is asked.
fn describe_frame(operation: &mut Operation, is_gateway: bool) {
    let answers = &mut operation.responses.responses;
    if operation.request_body.is_some() {
        answers.extend(RequestTimeout::responses());
        answers.extend(UnsupportedMediaType::responses());
    }
    // Browsers reach the gateway alone.
    if is_gateway {
        answers.extend(ForeignOrigin::responses());
    }
}

/// utoipa says that two schemas hold for an inlined field: its type's, and an object's that has only the field's description.
/// No number is an object, so the description moves to where the type is.
fn describe_in_place(schema: &mut RefOr<Schema>) {
    match schema {
        RefOr::T(Schema::Object(object)) => object.properties.values_mut().for_each(describe_in_place),
        RefOr::T(Schema::AllOf(all_of)) => {
            all_of.items.iter_mut().for_each(describe_in_place);
            if let [RefOr::T(Schema::Object(of_type)), RefOr::T(Schema::Object(of_field))] =
                all_of.items.as_mut_slice()
                && of_field.properties.is_empty()
            {
                of_type.description = of_field.description.take();
                *schema = mem::take(of_type).into();
            }
        }
        _ => {}
    }
}

/// The routes with their document and its page.
pub fn served<S: Clone + Send + Sync + 'static>(routes: OpenApiRouter<S>) -> Router<S> {
    let (router, document) = routes.split_for_parts();
    // Swagger UI would have the document judged by a host of its makers.
    let page = SwaggerUi::new("/api-docs")
        .config(Config::default().validator_url("none"))
        .url("/api-docs/openapi.json", self::document([document]));
    router.merge(Router::from(page).layer(map_response(not_found_as_problem)))
}

/// What the page does not have it answers with a bare 404.
async fn not_found_as_problem(response: Response) -> Response {
    if response.status() == StatusCode::NOT_FOUND {
        return web::Problem::no_such_path().into_response();
    }
    response
}

/// An error answer, and what services add to it (RFC 9457, section 3.2).
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "exists for the document alone")]
struct Problem {
    #[serde(flatten)]
    #[schema(inline)]
    standard: web::Problem,
    /// Where the request is not valid: a member of the body, a parameter or a header.
    #[schema(nullable = false)]
    field: Option<String>,
    /// The order that was created and rejected, or that was charged before.
    #[schema(inline, nullable = false)]
    order_id: Option<OrderId>,
    /// The key under which a request whose outcome is unknown can be repeated.
    #[schema(nullable = false)]
    idempotency_key: Option<String>,
}

/// 202. Where it is, so are routes that tell the outcome: they bring the schema of the body.
#[derive(utoipa::IntoResponses)]
#[response(
    status = 202,
    description = "The outcome is not known yet; `Location` is where it will be.",
    headers(
        ("Location" = String, description = "Where the outcome will be."),
        ("Retry-After" = u32, description = "When to look there, in seconds."),
        ("Preference-Applied" = String, description = "What was heeded of `Prefer`, if anything.")
    )
)]
#[allow(dead_code, reason = "exists for the document alone")]
pub struct Accepted(RequestAccepted);

/// For OpenAPI.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "the fields exist for the document alone")]
pub struct IfNoneMatchHeader {
    /// `ETag`s of the answers that the client has: if this one is among them it is 304. `*` is any.
    #[param(rename = "If-None-Match", required = false, example = "\"3\"")]
    etags: String,
}

/// 304
#[derive(utoipa::IntoResponses)]
#[response(
    status = 304,
    description = "The client has it already: `If-None-Match` names its `ETag`. There is no body.",
    headers(("ETag" = String, description = "Which one."))
)]
pub struct NotModified;

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident $status:literal $about:literal $(headers $headers:tt)?;)*) => {$(
        $(#[$doc])*
        #[derive(utoipa::IntoResponses)]
        #[response(
            status = $status, description = $about, content_type = "application/problem+json", $(headers $headers)?
        )]
        #[allow(dead_code, reason = "exists for the document alone")]
        pub struct $name(Problem);
    )*};
}

problems! {
    /// 400
    BadRequest 400 "The request is not valid; `field` says where.";
    /// 403
    ForeignOrigin 403 "It comes from a page in a browser whose origin may not do this.";
    /// 404
    NotFound 404 "There is no such thing.";
    /// 408
    RequestTimeout 408 "The body did not arrive in time. Nothing was done.";
    /// 409
    Conflict 409 "It conflicts with what is there.";
    /// 412
    PreconditionFailed 412 "A condition does not hold.";
    /// 413
    TooLarge 413 "The body has more than 64 KiB.";
    /// 415
    UnsupportedMediaType 415 "The body has a `Content-Encoding`, or a charset other than UTF-8.";
    /// 422
    KeyReused 422 "The Idempotency-Key came with another request before.";
    /// 500
    Internal 500 "Our fault; the log has the cause.";
    /// 503
    Unavailable 503 "A dependency is away."
        headers (("Retry-After" = u32, description = "When to come back, in seconds."));
}
