//! What really passes over Kafka, against the AsyncAPI documents of those who say it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use jsonschema::{Draft, Validator};
use lab::running::Brokers;
use lab::{Reply, Style};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Headers as _};
use rdkafka::metadata::MetadataTopic;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::asyncapi::with_messages;
use super::{Findings, conforms, validator};
use crate::harness::{Outcome, Stage, Suite};

/// How long the broker may take for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

pub fn register(suite: &mut Suite) {
    for style in with_messages() {
        let name = format!("{}::asyncapi::every_message_is_as_its_senders_document_says", style.name);
        suite.staged(name, style, as_documented);
    }
}

async fn as_documented(stage: &mut Stage) -> Outcome {
    have_everything_said(stage).await?;
    stage.check_at_rest().await?;
    let brokers = stage.deployment.addresses.kafka.clone().context("messages, and no broker")?;
    let topology = (stage.style.topology)();
    let topics = [topology.kept, topology.passing].concat();
    let captured = tokio::task::spawn_blocking(move || capture(&brokers, &topics)).await??;

    let documents = Documents::of(stage.style)?;
    let (mut findings, mut seen) = (Findings::default(), BTreeSet::new());
    for message in &captured {
        let kind = message.header("ce_type").unwrap_or("a message without a type");
        findings.note(kind, documents.check(message));
        findings.note(kind, mutilations_are_found(&documents, message));
        seen.insert(kind);
    }
    findings.conclude()?;
    let types: BTreeSet<&str> = stage.style.message_types.iter().copied().collect();
    ensure!(seen == types, "seen are {seen:?} of {types:?}");
    Ok(())
}

/// Plays what makes every type of message pass, with outcomes of both kinds.
async fn have_everything_said(stage: &Stage) -> Outcome {
    fn answered(reply: &Reply, status: StatusCode) -> Outcome {
        ensure!(reply.status == status, "{reply:?} instead of {status}");
        Ok(())
    }
    let (api, nobody) = (&stage.api, domain::UserId(987_654_321));
    let ann = json!({"username": "ann", "password": "correct horse", "email": "ann@example.org"});
    let created = api.post("billing/user", &[], &ann).await?;
    answered(&created, StatusCode::CREATED)?;
    answered(&api.post("billing/user", &[], &ann).await?, StatusCode::CONFLICT)?;
    let user = domain::UserId(created.body["userId"].as_i64().context("no userId")?);
    let profile = json!({"firstName": "Анна", "email": "anna@example.org", "phone": "+7 495 000-00-00"});
    let path = format!("billing/user/{user}");
    answered(&api.send(Method::PUT, &path, &[], profile.to_string()).await?, StatusCode::OK)?;
    answered(&api.deposit(user, 100).await?, StatusCode::OK)?;
    answered(&api.deposit(nobody, 100).await?, StatusCode::NOT_FOUND)?;
    answered(&api.order(user, 90, &[]).await?, StatusCode::CREATED)?;
    answered(&api.order(user, 90, &[]).await?, StatusCode::PRECONDITION_FAILED)?;
    answered(&api.order(nobody, 90, &[]).await?, StatusCode::NOT_FOUND)?;
    if stage.style.features.has_bookings {
        api.set_capacity(domain::EventId(1), 2).await?;
        answered(&api.book(user, 10, domain::EventId(1), &[]).await?, StatusCode::CREATED)?;
        answered(&api.book(user, 90, domain::EventId(1), &[]).await?, StatusCode::PRECONDITION_FAILED)?;
        answered(&api.book(user, 1, domain::EventId(2), &[]).await?, StatusCode::NOT_FOUND)?;
    }
    Ok(())
}

/// A message as it was found in a topic.
#[derive(Clone)]
struct Captured {
    topic: &'static str,
    key: Value,
    headers: Value,
    body: Value,
}

impl Captured {
    fn new(topic: &'static str, message: &BorrowedMessage<'_>) -> anyhow::Result<Self> {
        let mut headers = Map::new();
        for header in message.headers().into_iter().flat_map(|headers| headers.iter()) {
            let value = std::str::from_utf8(header.value.context("a header without a value")?)?;
            let before = headers.insert(header.key.to_owned(), value.into());
            ensure!(before.is_none(), "{} is there twice", header.key);
        }
        let key = message.key().map(std::str::from_utf8).transpose()?.into();
        let body = serde_json::from_slice(message.payload().context("no body")?)?;
        Ok(Self { topic, key, headers: headers.into(), body })
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers[name].as_str()
    }
}

/// Reads `topics` from their beginnings to where they end by now.
fn capture(brokers: &Brokers, topics: &[&'static str]) -> anyhow::Result<Vec<Captured>> {
    let kafka: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &brokers.servers)
        .set("group.id", format!("{}captured", brokers.prefix))
        .set("enable.auto.commit", "false")
        .create()?;
    let names: BTreeMap<String, &'static str> =
        topics.iter().map(|&topic| (brokers.settings().topic(topic), topic)).collect();
    let (mut partitions, mut expected) = (TopicPartitionList::new(), 0);
    for name in names.keys() {
        let metadata = kafka.fetch_metadata(Some(name), ANSWER_MAX)?;
        for partition in metadata.topics().iter().flat_map(MetadataTopic::partitions) {
            let (low, high) = kafka.fetch_watermarks(name, partition.id(), ANSWER_MAX)?;
            partitions.add_partition_offset(name, partition.id(), Offset::Offset(low))?;
            expected += high - low;
        }
    }
    kafka.assign(&partitions)?;
    let mut captured = Vec::new();
    for _ in 0..expected {
        let message = kafka.poll(ANSWER_MAX).context("fewer messages than offsets")??;
        captured.push(Captured::new(names[message.topic()], &message)?);
    }
    Ok(captured)
}

/// What the documents of a style say about messages, by sender and type.
struct Documents(BTreeMap<(String, String), Documented>);

/// What a document says about a message.
struct Documented {
    topic: String,
    key: Validator,
    headers: Validator,
    payload: Validator,
}

impl Documents {
    fn of(style: &Style) -> anyhow::Result<Self> {
        let mut documented = BTreeMap::new();
        for (service, document) in (style.async_documents)() {
            let schema = |schema: &Value| validator(&document, schema, Draft::Draft7);
            for (kind, message) in document["components"]["messages"].as_object().context("no messages")? {
                let channels = document["channels"].as_object().context("no channels")?;
                let channel = channels.iter().find(|(_, channel)| channel["messages"].get(kind).is_some());
                let (name, channel) = channel.with_context(|| format!("{kind} has no channel"))?;
                let about = Documented {
                    // Of a reply it is in its command, and here all commands have the same.
                    topic: channel["address"].as_str().unwrap_or(name).to_owned(),
                    key: schema(&message["bindings"]["kafka"]["key"])?,
                    headers: schema(&message["headers"])?,
                    payload: schema(&message["payload"])?,
                };
                documented.insert((format!("/{service}"), kind.clone()), about);
            }
        }
        Ok(Self(documented))
    }

    /// Compares a message with the document of the service that says it.
    fn check(&self, message: &Captured) -> Outcome {
        let header = |name| message.header(name).unwrap_or_default().to_owned();
        let (source, kind) = (header("ce_source"), header("ce_type"));
        let said = format!("{kind} of {source}");
        let about = self.0.get(&(source, kind)).with_context(|| format!("nothing is said about {said}"))?;
        ensure!(message.topic == about.topic, "{said} is on {}, not on {}", message.topic, about.topic);
        for (part, validator, value) in [
            ("key", &about.key, &message.key),
            ("headers", &about.headers, &message.headers),
            ("body", &about.payload, &message.body),
        ] {
            conforms(validator, value).context(part)?;
        }
        Ok(())
    }
}

/// A check that cannot fail proves nothing: whatever is wrong with a message must be found.
fn mutilations_are_found(documents: &Documents, message: &Captured) -> Outcome {
    let members =
        |part: &Value| -> Vec<String> { part.as_object().into_iter().flat_map(Map::keys).cloned().collect() };
    let mut mutilated = Vec::new();
    for name in members(&message.headers) {
        let mut copy = message.clone();
        copy.headers[&name] = "".into();
        mutilated.push((format!("the header {name} is empty"), copy));
    }
    for name in members(&message.body) {
        let mut copy = message.clone();
        copy.body[&name] = json!([]);
        mutilated.push((format!("{name} is a list"), copy));
    }
    mutilated.push(("there is no key".to_owned(), Captured { key: Value::Null, ..message.clone() }));
    mutilated.push(("there are no headers".to_owned(), Captured { headers: json!({}), ..message.clone() }));
    mutilated.push(("the topic is another".to_owned(), Captured { topic: "elsewhere", ..message.clone() }));
    for (what, copy) in mutilated {
        ensure!(documents.check(&copy).is_err(), "{what}, and nobody sees it");
    }
    Ok(())
}
