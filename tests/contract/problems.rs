//! Problems (RFC 9457) that are expected, and a probe that asks for them.

use std::fmt::Display;

use anyhow::{Context as _, ensure};
use lab::{Api, Reply};
use reqwest::Method;

use super::Findings;
use super::endpoints::Endpoint;
use crate::harness::Outcome;

/// A problem that is expected.
pub struct Refusal<'a> {
    status: u16,
    code: &'a str,
    field: Option<&'a str>,
}

/// A problem that is about no field.
pub fn refusal(status: u16, code: &str) -> Refusal<'_> {
    Refusal { status, code, field: None }
}

/// 400 because of `field`, with a code of its own where the contract has one.
pub fn invalid(field: &str) -> Refusal<'_> {
    Refusal { status: 400, code: "invalid-request", field: Some(field) }
}

impl<'a> Refusal<'a> {
    /// The same with another code.
    pub fn code(self, code: &'a str) -> Self {
        Self { code, ..self }
    }

    fn check(&self, reply: &Reply, path: &str) -> Outcome {
        let body = &reply.body;
        ensure!(reply.status == self.status, "{} instead of {}: {body}", reply.status, self.status);
        let content_type = reply.header("content-type");
        ensure!(content_type == Some("application/problem+json"), "content-type is {content_type:?}");
        for member in ["type", "title", "detail"] {
            let said = body[member].as_str().is_some_and(|text| !text.is_empty());
            ensure!(said, "{member} is missing: {body}");
        }
        ensure!(body["status"] == self.status, "status is not {}: {body}", self.status);
        ensure!(body["instance"] == path, "instance is not {path}: {body}");
        ensure!(body["code"] == self.code, "code is not {}: {body}", self.code);
        ensure!(body["field"].as_str() == self.field, "field is not {:?}: {body}", self.field);
        for word in OF_THE_PROGRAM {
            let shown = body["detail"].as_str().is_some_and(|detail| detail.contains(word));
            ensure!(!shown, "a client is told of {word:?}: {body}");
        }
        Ok(())
    }
}

/// What Rust and its libraries say of input that does not fit: clients know the API, not the program.
const OF_THE_PROGRAM: [&str; 17] = [
    "i64",
    "u64",
    "u16",
    "usize",
    "UUID",
    "struct",
    "serde",
    "Invalid URL",
    "Cannot parse",
    "invalid type",
    "invalid value",
    "expected",
    "target type",
    "found in string",
    "trailing characters",
    "EOF while",
    "field `",
];

/// Sends requests and notes what is not answered as it should be.
#[derive(Default)]
pub struct Probe(Findings);

impl Probe {
    /// Sends `method path`, which is to be refused as `expected`.
    pub async fn refused(
        &mut self,
        api: &Api,
        (method, path): (Method, &str),
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
        expected: Refusal<'_>,
    ) -> anyhow::Result<Reply> {
        let body = body.into();
        let row = row(&method, path, headers, &body);
        let reply = api.send(method, path, headers, body).await.with_context(|| row.clone())?;
        let path = path.split('?').next().unwrap_or(path);
        self.note(row, expected.check(&reply, path));
        Ok(reply)
    }

    /// Sends `body` to `endpoint`, which is to accept it.
    pub async fn accepted(
        &mut self,
        endpoint: &Endpoint,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> anyhow::Result<Reply> {
        let (Endpoint { api, method, path, .. }, body) = (endpoint, body.into());
        let row = row(method, path, headers, &body);
        let reply = api.send(method.clone(), path, headers, body).await.with_context(|| row.clone())?;
        self.note(row, succeeded(&reply, endpoint.success));
        Ok(reply)
    }

    /// Notes `outcome`, unless it is as it should be.
    pub fn note(&mut self, row: impl Display, outcome: Outcome) {
        self.0.note(row, outcome);
    }

    /// All that was noted.
    pub fn conclude(self) -> Outcome {
        self.0.conclude()
    }
}

/// Checks that `reply` has `status`.
pub fn succeeded(reply: &Reply, status: u16) -> Outcome {
    ensure!(reply.status == status, "{} instead of {status}: {}", reply.status, reply.body);
    Ok(())
}

/// A request in one line that can be read.
fn row(method: &Method, path: &str, headers: &[(&str, &str)], body: &[u8]) -> String {
    let mut row = format!("{method} {path} {headers:?} {}", String::from_utf8_lossy(body));
    row.truncate(row.floor_char_boundary(160));
    row
}
