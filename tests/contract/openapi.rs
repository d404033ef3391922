//! An OpenAPI document as a judge of what passes over HTTP.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use anyhow::{Context as _, ensure};
use jsonschema::{Draft, Validator};
use lab::{Reply, Service, Style};
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::documents::{document, operations};
use super::{conforms, validator};
use crate::harness::Outcome;

/// Headers of an answer that mean something to a client; a document tells of those and of no others.
const HEADERS: [&str; 5] = ["etag", "link", "location", "preference-applied", "retry-after"];
/// Those of them that are not always there.
const AT_TIMES: [&str; 2] = ["link", "preference-applied"];

/// A request and what it was answered.
#[derive(Clone)]
pub struct Exchange {
    pub method: Method,
    pub path_and_query: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    pub reply: Reply,
}

impl Exchange {
    fn path(&self) -> &str {
        self.path_and_query.split('?').next().unwrap_or_default()
    }

    fn query(&self) -> impl Iterator<Item = (&str, &str)> {
        let query = self.path_and_query.split_once('?').map_or("", |(_, query)| query);
        query.split('&').filter_map(|pair| pair.split_once('='))
    }

    /// The request's body; null if it is not JSON.
    fn asked(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

impl Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {:?} {:.80} -> {}",
            self.method, self.path_and_query, self.headers, self.body, self.reply.status
        )
    }
}

/// What the document of a service says about exchanges with it.
pub struct Documented(Vec<Operation>);

/// What it says about one operation.
pub struct Operation {
    pub method: Method,
    /// With `{names}` of parameters in it.
    pub path: String,
    /// By place and name, whether it must be there, and what it may be.
    parameters: BTreeMap<(String, String), (bool, Validator)>,
    body: Option<Validator>,
    answers: BTreeMap<u16, Answer>,
}

/// What it says about the answers of one status.
struct Answer {
    /// None of an answer without a body.
    content: Option<(String, Validator)>,
    headers: BTreeMap<String, Validator>,
}

impl Documented {
    pub fn of(style: &Style, service: Service) -> anyhow::Result<Self> {
        let document = document(style, service)?;
        let described = operations(&document)?;
        let read = described.iter().map(|(method, path, about)| {
            Operation::read(&document, method, path, about).with_context(|| format!("{method} {path}"))
        });
        Ok(Self(read.collect::<anyhow::Result<_>>()?))
    }

    pub fn operations(&self) -> &[Operation] {
        &self.0
    }

    /// Compares an exchange with what is said about it.
    pub fn check(&self, exchange: &Exchange) -> Outcome {
        let operation = self.0.iter().find(|operation| operation.is_of(exchange));
        let operation = operation.context("nothing is said about it")?;
        let Exchange { reply, .. } = exchange;
        operation.check_answer(reply)?;
        let request = operation.check_request(exchange);
        if reply.status.is_success() {
            request?;
        } else if reply.code() == Some("invalid-request") {
            ensure!(request.is_err(), "it was refused, and the document finds nothing wrong with it");
        }
        Ok(())
    }
}

impl Operation {
    fn read(document: &Value, method: &str, path: &str, about: &Value) -> anyhow::Result<Self> {
        let schema = |schema: &Value| validator(document, schema, Draft::Draft202012);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut parameters = BTreeMap::new();
        for parameter in about["parameters"].as_array().into_iter().flatten() {
            let required = parameter["required"] == true;
            let place = (text(&parameter["in"]), text(&parameter["name"]));
            parameters.insert(place, (required, schema(&parameter["schema"])?));
        }
        let mut answers = BTreeMap::new();
        for (status, answer) in about["responses"].as_object().into_iter().flatten() {
            let content = answer["content"].as_object().and_then(|content| content.iter().next());
            let content =
                content.map(|(kind, content)| anyhow::Ok((kind.clone(), schema(&content["schema"])?)));
            let headers = answer["headers"].as_object().into_iter().flatten();
            let headers = headers.map(|(name, header)| Ok((name.to_lowercase(), schema(&header["schema"])?)));
            let answer =
                Answer { content: content.transpose()?, headers: headers.collect::<anyhow::Result<_>>()? };
            answers.insert(status.parse()?, answer);
        }
        let body = about["requestBody"]["content"].get("application/json");
        Ok(Self {
            method: method.parse()?,
            path: path.to_owned(),
            parameters,
            body: body.map(|content| schema(&content["schema"])).transpose()?,
            answers,
        })
    }

    /// What it may be answered with.
    pub fn statuses(&self) -> impl Iterator<Item = u16> {
        self.answers.keys().copied()
    }

    /// Whether it is what was asked for.
    fn is_of(&self, exchange: &Exchange) -> bool {
        let (known, asked) = (self.path.split('/'), exchange.path().split('/'));
        self.method == exchange.method
            && known.clone().count() == asked.clone().count()
            && known.zip(asked).all(|(known, asked)| known == asked || known.starts_with('{'))
    }

    /// What a request has for a parameter.
    fn argument<'a>(&self, exchange: &'a Exchange, place: &str, name: &str) -> Option<&'a str> {
        let in_braces = format!("{{{name}}}");
        match place {
            "path" => {
                let mut segments = self.path.split('/').zip(exchange.path().split('/'));
                segments.find(|(known, _)| *known == in_braces).map(|(_, value)| value)
            }
            "query" => exchange.query().find(|(known, _)| *known == name).map(|(_, value)| value),
            _ => {
                let mut headers = exchange.headers.iter();
                headers.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
            }
        }
    }

    fn check_request(&self, exchange: &Exchange) -> Outcome {
        for ((place, name), (required, schema)) in &self.parameters {
            match self.argument(exchange, place, name) {
                Some(value) => ensure!(allows(schema, value), "{name} in {place} is {value}"),
                None => ensure!(!required, "{name} is not in {place}"),
            }
        }
        self.body.as_ref().map_or(Ok(()), |schema| conforms(schema, &exchange.asked()))
    }

    fn check_answer(&self, reply: &Reply) -> Outcome {
        let status = reply.status.as_u16();
        let answer = self.answers.get(&status).with_context(|| format!("{status} is not described"))?;
        let media_type = reply.header("content-type");
        match &answer.content {
            Some((described, body)) => {
                ensure!(media_type == Some(described), "content-type is {media_type:?}");
                conforms(body, &reply.body)?;
            }
            None => ensure!(media_type.is_none() && reply.body.is_null(), "there is a body: {reply:?}"),
        }
        for name in HEADERS {
            match (reply.header(name), answer.headers.get(name)) {
                (Some(value), Some(schema)) => ensure!(allows(schema, value), "{name} is {value}"),
                (Some(value), None) => anyhow::bail!("{name} is {value}, and the document does not know it"),
                (None, described) => {
                    ensure!(described.is_none() || AT_TIMES.contains(&name), "{name} is not there");
                }
            }
        }
        Ok(())
    }
}

/// Whether what is sent as text, since it is no JSON, may be so.
fn allows(schema: &Validator, text: &str) -> bool {
    let number = text.parse::<i64>().is_ok_and(|number| schema.is_valid(&number.into()));
    number || schema.is_valid(&text.into())
}

/// A check that cannot fail proves nothing: whatever is wrong with an exchange must be found.
pub fn mutilations_are_found(documented: &Documented, exchange: &Exchange) -> Outcome {
    let mut mutilated = Vec::new();
    let mut add = |what: String, mutilate: &dyn Fn(&mut Exchange)| {
        let mut copy = exchange.clone();
        mutilate(&mut copy);
        mutilated.push((what, copy));
    };
    add("the status is another".to_owned(), &|copy| copy.reply.status = StatusCode::IM_A_TEAPOT);
    if exchange.reply.status == StatusCode::NOT_MODIFIED {
        add("there is a body".to_owned(), &|copy| copy.reply.body = json!({}));
    } else {
        add("there is no body".to_owned(), &|copy| copy.reply.body = Value::Null);
        add("the content type is missing".to_owned(), &|copy| _ = copy.reply.headers.remove("content-type"));
    }
    for name in HEADERS.into_iter().filter(|name| exchange.reply.header(name).is_some()) {
        if !AT_TIMES.contains(&name) {
            add(format!("{name} is missing"), &|copy| _ = copy.reply.headers.remove(name));
        }
    }
    for (member, value) in members(&exchange.reply.body) {
        let other = if value.is_array() { json!({}) } else { json!([]) };
        add(format!("{member} is {other}"), &|copy| first(&mut copy.reply.body)[&member] = other.clone());
        // What is null where there is nothing is never left out.
        if value.is_null() {
            add(format!("{member} is missing"), &|copy| {
                first(&mut copy.reply.body).as_object_mut().map(|body| body.remove(&member));
            });
        }
    }
    if exchange.reply.status.is_success() {
        for (member, _) in members(&exchange.asked()) {
            add(format!("{member} of the request is a list"), &|copy| {
                let mut asked = copy.asked();
                asked[&member] = json!([]);
                copy.body = asked.to_string();
            });
        }
    }
    for (what, copy) in mutilated {
        ensure!(documented.check(&copy).is_err(), "{what}, and nobody sees it");
    }
    Ok(())
}

/// An object, or the first one of a list.
fn first(body: &mut Value) -> &mut Value {
    if body.is_array() { &mut body[0] } else { body }
}

/// The members of an object, or of the first one of a list.
fn members(body: &Value) -> Map<String, Value> {
    let object = body.get(0).unwrap_or(body);
    object.as_object().cloned().unwrap_or_default()
}
