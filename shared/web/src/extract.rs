//! Extractors whose refusals are problems that name the field.

use axum::RequestExt as _;
use axum::body::Bytes;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::{Problem, words};

/// A JSON body. The content type is not looked at (its charset was, when the body was received): what does not parse is refused
/// anyway, and `curl -d` just works.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        // The server's frame has received it, and bounded its size.
        let body: Bytes = request.extract().await.map_err(|_: BytesRejection| Problem::incomplete_body())?;
        // serde takes an array for an object, field by field; the contract does not.
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err(Problem::invalid_request("body", "body: must be a JSON object"));
        }
        let mut json = serde_json::Deserializer::from_slice(&body);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let field = error.path().to_string();
            let cause = error.into_inner();
            // `missing field` is reported at the object that lacks it; the name is in the message, between backticks.
            let field = match named_field(&cause.to_string()) {
                Some(name) => name.to_owned(),
                // `?` is a name that could not be read.
                None if field == "." || field == "?" => "body".to_owned(),
                None => field,
            };
            Problem::invalid_request(&field, format!("{field}: {}", words::of_json(&cause)))
        })?;
        json.end()
            .map_err(|error| Problem::invalid_request("body", format!("body: {}", words::of_json(&error))))?;
        Ok(Self(value))
    }
}

/// serde names these fields in the message alone, between backticks.
fn named_field(message: &str) -> Option<&str> {
    let rest =
        message.strip_prefix("missing field `").or_else(|| message.strip_prefix("duplicate field `"))?;
    rest.split('`').next()
}

/// A path parameter. One that does not parse names nothing, so the answer is 404, as for any other unknown id.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(Problem::not_found(names_nothing(rejection))),
        }
    }
}

fn names_nothing(rejection: PathRejection) -> String {
    let kind = match rejection {
        PathRejection::FailedToDeserializePathParams(error) => Some(error.into_kind()),
        _ => None,
    };
    match kind {
        Some(
            ErrorKind::ParseError { value, .. }
            | ErrorKind::ParseErrorAtKey { value, .. }
            | ErrorKind::ParseErrorAtIndex { value, .. }
            | ErrorKind::DeserializeError { value, .. },
        ) => format!("There is nothing at this path: `{value}` names nothing."),
        _ => "There is nothing at this path.".to_owned(),
    }
}

/// Query parameters.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => {
                let text = rejection.body_text();
                // axum says `Failed to deserialize query string: field: cause`; without a field if there is one too many.
                let cause = text.split_once(": ").map_or(text.as_str(), |(_, cause)| cause);
                let (field, cause) = match named_field(cause) {
                    Some(name) => (name, cause),
                    None => cause.split_once(": ").unwrap_or(("query", cause)),
                };
                Err(Problem::invalid_request(field, format!("{field}: {}", words::of_message(cause))))
            }
        }
    }
}
