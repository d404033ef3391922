//! The `Idempotency-Key` header (IETF draft `draft-ietf-httpapi-idempotency-key-header`), bare or quoted.

use std::fmt::Display;

use axum::extract::FromRequestParts;
use domain::{Operation, RequestId};
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use utoipa::IntoParams;
use uuid::Uuid;
use web::Problem;

use crate::ApiError;

/// The header's name.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// For OpenAPI.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "the fields exist for the document alone")]
pub struct IdempotencyKeyHeader {
    /// Names this request: repeated with the same key it has no second effect and gets the same answer. With other content it
    /// is refused, so each request gets a new one, such as a random UUID. 1 to 255 visible ASCII characters, bare; or quoted,
    /// with a backslash before quotes and backslashes.
    // Without an example: a tool would send it with every operation, and all but the first be refused.
    #[param(
        rename = "Idempotency-Key",
        required = false,
        pattern = r#"^([!#-~]([ -~]{0,253}[!-~])?|"([ !#-\[\]-~]|\\["\\]){1,255}")$"#
    )]
    key: String,
}

/// The key of a request; one of its own for a request that came without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The request this key names.
    pub fn request_id(&self, operation: Operation) -> RequestId {
        RequestId::derive(operation, &self.0)
    }

    /// For passing it on: quoted, so that whatever is in it arrives as it is.
    pub fn header_value(&self) -> HeaderValue {
        let quoted = self.0.replace('\\', "\\\\").replace('"', "\\\"");
        HeaderValue::from_str(&format!("\"{quoted}\"")).expect("a key is visible ASCII")
    }

    /// The key itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn parse(header: &HeaderValue) -> Result<Self, ApiError> {
        let refuse = |why| Err(ApiError::InvalidHeader("Idempotency-Key", why));
        let Ok(text) = header.to_str() else {
            return refuse("must be visible ASCII");
        };
        let text = text.trim();
        let key = match text.strip_prefix('"').map(|rest| rest.strip_suffix('"')) {
            Some(Some(quoted)) => match unescape(quoted) {
                Some(key) => key,
                None => return refuse("a quote or a backslash in it must be escaped"),
            },
            Some(None) => return refuse("the closing quote is missing"),
            None => text.to_owned(),
        };
        if key.is_empty() || key.len() > 255 || !key.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
            return refuse("must have 1 to 255 visible ASCII characters");
        }
        Ok(Self(key))
    }

    /// 503 for a request that can be repeated under this key: a client that sent none has no other way to find out what became
    /// of it.
    pub fn unavailable(&self, why: impl Display) -> Problem {
        Problem::unavailable(why.to_string()).with("idempotencyKey", self.as_str())
    }
}

/// A string of RFC 9651 without its quotes: `\` comes before `"` and `\` only, and both come after it only.
fn unescape(quoted: &str) -> Option<String> {
    let (mut key, mut characters) = (String::new(), quoted.chars());
    while let Some(character) = characters.next() {
        key.push(match character {
            '\\' => characters.next().filter(|escaped| matches!(escaped, '"' | '\\'))?,
            '"' => return None,
            plain => plain,
        });
    }
    Some(key)
}

impl From<RequestId> for IdempotencyKey {
    /// For calls that a service makes on behalf of a request: repeated by anyone, they are the same call.
    fn from(request: RequestId) -> Self {
        Self(request.to_string())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let mut headers = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        match (headers.next(), headers.next()) {
            (None, _) => Ok(Self(Uuid::now_v7().to_string())),
            (Some(header), None) => Self::parse(header),
            (Some(_), Some(_)) => Err(ApiError::InvalidHeader("Idempotency-Key", "must be there once")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &'static str) -> Option<String> {
        IdempotencyKey::parse(&HeaderValue::from_static(text)).ok().map(|key| key.0)
    }

    #[test]
    fn a_key_is_the_same_bare_and_quoted() {
        assert_eq!(parse("abc-1"), parse("\"abc-1\""));
        assert_eq!(parse(r#""a\"b""#).as_deref(), Some("a\"b"));
    }

    #[test]
    fn a_key_that_is_passed_on_stays_the_same() {
        for key in ["abc", r#"a"b"#, r"a\b", r#"\"x\""#, " k "] {
            let key = IdempotencyKey(key.to_owned());
            assert_eq!(IdempotencyKey::parse(&key.header_value()).unwrap(), key);
        }
    }

    #[test]
    fn an_unusable_key_is_refused() {
        for bad in ["", "\"\"", "\"open", "   ", "\"a\"b\"", r#""a\b""#] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
