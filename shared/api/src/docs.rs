//! OpenAPI: every service's document, served at `/api-docs/openapi.json` and as a page at `/api-docs`.

use std::collections::BTreeSet;

use axum::Router;
use axum::middleware::map_response;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Server};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::{Config, SwaggerUi};
use web::Problem;

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
            .build(),
    )
}

/// The document of a service whose routes are documented in `parts`; the first says who it is.
pub fn document(parts: impl IntoIterator<Item = OpenApi>) -> OpenApi {
    let mut document = parts.into_iter().reduce(OpenApi::merge_from).unwrap_or_default();
    // Tags that no route here carries would only confuse.
    let mut used = BTreeSet::new();
    for item in document.paths.paths.values() {
        for operation in [&item.get, &item.put, &item.post].into_iter().flatten() {
            used.extend(operation.tags.iter().flatten().cloned());
        }
    }
    document.tags =
        document.tags.map(|tags| tags.into_iter().filter(|tag| used.contains(&tag.name)).collect());
    document
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
        return Problem::not_found("There is nothing at this path.").into_response();
    }
    response
}

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident $status:literal $about:literal;)*) => {$(
        $(#[$doc])*
        #[derive(utoipa::IntoResponses)]
        #[response(status = $status, description = $about, content_type = "application/problem+json")]
        #[allow(dead_code, reason = "exists for the document alone")]
        pub struct $name(#[to_schema] Problem);
    )*};
}

problems! {
    /// 400
    BadRequest 400 "The request is not valid; `field` says where.";
    /// 404
    NotFound 404 "There is no such thing.";
    /// 409
    Conflict 409 "It conflicts with what is there.";
    /// 412
    PreconditionFailed 412 "A condition does not hold.";
    /// 413
    TooLarge 413 "The body has more than 64 KiB.";
    /// 422
    KeyReused 422 "The Idempotency-Key came with another request before.";
    /// 500
    Internal 500 "Our fault; the log has the cause.";
    /// 503
    Unavailable 503 "A dependency is away; `Retry-After` says when to come back.";
}
