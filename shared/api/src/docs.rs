//! OpenAPI: every service's document, served at `/api-docs/openapi.json` and as a page at `/api-docs`.

use axum::Router;
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::SwaggerUi;
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
    OpenApiRouter::with_openapi(OpenApiBuilder::new().info(info).tags(Some(tags)).build())
}

/// The document alone.
pub fn document<S: Clone + Send + Sync + 'static>(routes: OpenApiRouter<S>) -> OpenApi {
    let mut document = routes.into_openapi();
    // Tags that no route here carries would only confuse.
    let mut used = std::collections::BTreeSet::new();
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
    let document = document(routes.clone());
    let (router, _) = routes.split_for_parts();
    router.merge(SwaggerUi::new("/api-docs").url("/api-docs/openapi.json", document))
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
