//! A request's body: received whole before anybody works on the request, and refused for what the client alone can mend.

use std::error::Error;
use std::time::Duration;

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, header};
use http_body_util::LengthLimitError;
use tokio::time::timeout;

use crate::Problem;

/// The largest request body, in bytes. Past it the answer is 413.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// The request with its whole body. Only this waits for a slow client: neither the deadline of the work nor a call of a peer runs
/// meanwhile.
///
/// # Errors
/// The answer to a body that does not arrive in time, is cut off, too large, or in an encoding that is not known.
pub(crate) async fn receive(request: Request, within: Duration) -> Result<Request, Response> {
    if request.body().is_end_stream() {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let body = match timeout(within, to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) if error.source().is_some_and(<dyn Error>::is::<LengthLimitError>) => {
            return Err(Problem::too_large().into_response());
        }
        Ok(Err(_)) => return Err(Problem::incomplete_body().into_response()),
        // The rest may still come, and would be taken for the next request.
        Err(_) => return Err(([(header::CONNECTION, "close")], Problem::request_timeout()).into_response()),
    };
    if !body.is_empty() {
        is_plain_utf8(&parts.headers)?;
    }
    Ok(Request::from_parts(parts, Body::from(body)))
}

/// Nothing here decodes, and JSON is UTF-8 (RFC 8259). The media type itself does not matter.
fn is_plain_utf8(headers: &HeaderMap) -> Result<(), Response> {
    let is_plain = |coding: &[u8]| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity");
    if !parts_of(headers, &header::CONTENT_ENCODING, b',').all(is_plain) {
        let accepted = [(header::ACCEPT_ENCODING, "identity")];
        let problem = Problem::unsupported_media_type("A body is accepted only without a Content-Encoding.");
        return Err((accepted, problem).into_response());
    }
    let is_utf8 =
        |charset: &[u8]| charset.eq_ignore_ascii_case(b"utf-8") || charset.eq_ignore_ascii_case(b"utf8");
    if !parts_of(headers, &header::CONTENT_TYPE, b';').filter_map(charset).all(is_utf8) {
        let accepted = [(header::ACCEPT, "application/json")];
        let problem = Problem::unsupported_media_type("A body is accepted only in the charset UTF-8.");
        return Err((accepted, problem).into_response());
    }
    Ok(())
}

/// What stands between separators in all lines of a header.
fn parts_of<'a>(headers: &'a HeaderMap, name: &HeaderName, separator: u8) -> impl Iterator<Item = &'a [u8]> {
    let lines = headers.get_all(name).iter();
    lines.flat_map(move |line| line.as_bytes().split(move |&byte| byte == separator)).map(<[u8]>::trim_ascii)
}

/// The charset, if a parameter of a media type is one.
fn charset(parameter: &[u8]) -> Option<&[u8]> {
    let (name, value) = parameter.split_at(parameter.iter().position(|&byte| byte == b'=')?);
    let value = value[1..].trim_ascii();
    let bare = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    name.trim_ascii().eq_ignore_ascii_case(b"charset").then_some(bare.unwrap_or(value))
}
