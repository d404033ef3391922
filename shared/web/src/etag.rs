//! Answers that a client has already: conditional requests by entity tag (RFC 9110, section 13.1.2). And who may keep an answer for
//! later (RFC 9111).

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

/// Turns an answer whose `ETag` the client's `If-None-Match` has into 304, which has no body. So a handler has only to say which
/// version it answers with.
pub(crate) async fn answer_unless_known(request: Request, next: Next) -> Response {
    let reads = reads(&request);
    let known = reads.then(|| known_tags(request.headers())).filter(|known| !known.is_empty());
    let response = next.run(request).await;
    let Some((known, tag)) = known.zip(response.headers().get(header::ETAG).cloned()) else {
        return response;
    };
    if response.status() == StatusCode::OK && has(&known, tag.to_str().unwrap_or_default()) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
    }
    response
}

/// Says who may keep the answer to a GET, unless it says so itself. What is about one user is for no shared cache, and a cache that is
/// told nothing may give an old answer again (Varnish 7.1 does so for two minutes).
pub(crate) async fn keep_for_later(request: Request, next: Next) -> Response {
    let reads = reads(&request);
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if reads && !headers.contains_key(header::CACHE_CONTROL) {
        let may_be_asked_for_again = headers.contains_key(header::ETAG);
        let directives = if may_be_asked_for_again { "private, no-cache" } else { "no-store" };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(directives));
    }
    response
}

fn reads(request: &Request) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
}

/// `If-None-Match`, which may be several lines.
fn known_tags(headers: &HeaderMap) -> String {
    let lines = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    lines.collect::<Vec<_>>().join(",")
}

/// Whether `known` is `*` or a list that has `tag`. The comparison is the weak one: `W/"1"` has `"1"`.
fn has(known: &str, tag: &str) -> bool {
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    let mut rest = known.trim();
    if rest == "*" {
        return true;
    }
    loop {
        rest = rest.trim_start_matches([',', ' ', '\t']);
        let bare = rest.strip_prefix("W/").unwrap_or(rest);
        // A tag may have commas in it, and has no quotes. What is none ends the list.
        let Some(end) = bare.strip_prefix('"').and_then(|inner| inner.find('"')) else {
            return false;
        };
        let (first, others) = bare.split_at(end + 2);
        if first == tag {
            return true;
        }
        rest = others;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_a_tag_by_its_text_weak_or_strong() {
        for known in
            ["*", "\"1\"", "W/\"1\"", " \"0\" , \"1\"", "\"a,b\",W/\"0\",\"1\"", ",,\"1\",", "\"\", \"1\""]
        {
            assert!(has(known, "\"1\""), "{known}");
            assert!(has(known, "W/\"1\""), "{known}");
        }
        for known in [
            "",
            "1",
            "\"1",
            "1\"",
            "\"11\"",
            "\"0\"",
            "\"a,\"1\",b\"",
            "w/\"1\"",
            "\"*\"",
            "*, \"0\"",
            "x, \"1\"",
        ] {
            assert!(!has(known, "\"1\""), "{known}");
        }
    }
}
