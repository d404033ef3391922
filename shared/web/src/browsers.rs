//! Pages in browsers: which origins may read answers (the CORS protocol of the Fetch standard), and which requests are refused
//! because of the page that they come from.
//!
//! Not tower-http's layer: that answers every `OPTIONS`, also one that no browser sent, and a page that may not call gets an
//! answer that does not say why.

use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use clap::Args;
use http::uri::Authority;
use http::{HeaderValue, Method, StatusCode, header};
use url::Url;

use crate::Problem;

/// Settings of a service that pages may call.
#[derive(Clone, Debug, Default, Args)]
pub struct BrowserSettings {
    /// Origins whose pages may call the service from a browser, separated by commas, such as `https://shop.example.org`. The
    /// service's own pages may always call.
    #[arg(long, env = "CORS_ORIGINS", default_value = "", hide_default_value = true)]
    pub cors_origins: Origins,
}

/// Origins as browsers write them: scheme, host, and port unless it is the scheme's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(Arc<[String]>);

/// Why a text does not list origins.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not an origin: an origin is a scheme, a host and, if it is not the usual one, a port, such as https://shop.example.org"
)]
pub struct NoOrigin(String);

impl FromStr for Origins {
    type Err = NoOrigin;

    fn from_str(list: &str) -> Result<Self, NoOrigin> {
        let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let origins =
            entries.map(|entry| as_browsers_write_it(entry).ok_or_else(|| NoOrigin(entry.to_owned())));
        origins.collect::<Result<Vec<_>, _>>().map(|origins| Self(origins.into()))
    }
}

/// A URL that has no more than an origin: a path or a wildcard would look as if it counted.
fn as_browsers_write_it(entry: &str) -> Option<String> {
    let url = Url::parse(entry).ok()?;
    let origin = url.origin().ascii_serialization();
    let is_origin = matches!(url.scheme(), "http" | "https") && url.as_str() == format!("{origin}/");
    (is_origin && !origin.contains('*')).then_some(origin)
}

/// Methods that pages of listed origins may use.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
/// Headers that such pages may send: all that mean something here.
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "content-type, idempotency-key, if-match, if-none-match, prefer, traceparent, tracestate, x-request-id",
);
/// Headers of answers that such pages may read, beside those that every page may.
const ANSWER_HEADERS: HeaderValue = HeaderValue::from_static(
    "accept-encoding, allow, etag, link, location, preference-applied, retry-after, x-request-id",
);
/// How long a browser need not ask again, in seconds.
const PREFLIGHT_KEPT: HeaderValue = HeaderValue::from_static("3600");

/// From where a request comes.
enum Source {
    /// No page of another origin, as far as it says: browsers name the origin whenever there is an effect.
    Unnamed,
    /// A page of the service's own.
    Own,
    /// A page of an origin that is listed: this one.
    Listed(HeaderValue),
    /// A page of any other.
    Foreign,
}

/// Lets pages of the service's own origin and of listed ones call. Any other page may only send what has no effect, and cannot
/// read the answer.
pub(crate) async fn guard(State(Origins(listed)): State<Origins>, request: Request, next: Next) -> Response {
    let source = source(&request, &listed);
    let is_preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match source {
        Source::Foreign if is_preflight || !request.method().is_safe() => foreign_origin().into_response(),
        Source::Listed(_) if is_preflight => preflight(),
        _ => next.run(request).await,
    };
    let headers = response.headers_mut();
    if !listed.is_empty() {
        // In every answer: a cache must not give what one page got to another.
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }
    if let Source::Listed(origin) = source {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, ANSWER_HEADERS);
    }
    response
}

fn source(request: &Request, listed: &[String]) -> Source {
    let mut lines = request.headers().get_all(header::ORIGIN).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Source::Unnamed,
        (Some(origin), None) if listed.iter().any(|known| known == origin) => Source::Listed(origin.clone()),
        (Some(origin), None) if is_own(origin, request).unwrap_or(false) => Source::Own,
        // Also `null`: a page that hides where it comes from.
        _ => Source::Foreign,
    }
}

/// Whether `origin` is where the request was sent to. The scheme is not compared: TLS may end in front of this server, which
/// then does not see it.
fn is_own(origin: &HeaderValue, request: &Request) -> Option<bool> {
    let host = match request.uri().authority() {
        Some(authority) => authority.clone(),
        None => Authority::try_from(request.headers().get(header::HOST)?.as_bytes()).ok()?,
    };
    let origin = Url::parse(origin.to_str().ok()?).ok()?;
    // `Host` has a port only if it is not the scheme's own.
    let port = host.port_u16().unwrap_or(if origin.scheme() == "https" { 443 } else { 80 });
    Some(origin.host_str()?.eq_ignore_ascii_case(host.host()) && origin.port_or_known_default() == Some(port))
}

/// What a browser asks for before it lets a page send more than a form could. Whether the path has the method is told by the
/// request itself, whose answer the page can read.
fn preflight() -> Response {
    let allowed = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS),
        (header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_KEPT),
    ];
    (StatusCode::NO_CONTENT, allowed).into_response()
}

fn foreign_origin() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "foreign-origin", "The request comes from a page of a foreign origin")
        .detail("Pages of this origin may not call. Whoever runs the gateway can list it in CORS_ORIGINS.")
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn origins_are_listed_as_browsers_write_them() {
        let Origins(listed) = "https://Shop.example.org:443, http://localhost:5173/,".parse().unwrap();
        assert_eq!(*listed, ["https://shop.example.org", "http://localhost:5173"]);
        assert_eq!("".parse(), Ok(Origins::default()));
        assert_eq!(
            "https://bücher.example".parse::<Origins>().unwrap().0[0],
            "https://xn--bcher-kva.example"
        );
    }

    #[derive(Debug, clap::Parser)]
    struct Service {
        #[command(flatten)]
        browsers: BrowserSettings,
    }

    #[test]
    fn a_wrong_setting_is_named_when_the_service_starts() {
        let start = |origins| Service::try_parse_from(["service", "--cors-origins", origins]);
        assert_eq!(start("").unwrap().browsers.cors_origins, Origins::default());
        let error = start("https://shop.example.org,*").unwrap_err().to_string();
        assert!(error.contains("--cors-origins") && error.contains("`*` is not an origin"), "{error}");
    }

    #[test]
    fn what_is_no_origin_is_named() {
        for bad in [
            "*",
            "null",
            "shop.example.org",
            "https://",
            "https://*.example.org",
            "https://shop.example.org/app",
            "https://shop.example.org?x",
            "https://ann@shop.example.org",
            "ftp://shop.example.org",
            "https://a.example https://b.example",
        ] {
            let error = format!("https://good.example,{bad}").parse::<Origins>().unwrap_err();
            assert_eq!(error, NoOrigin(bad.to_owned()));
            assert!(error.to_string().contains(bad));
        }
    }
}
