//! The document of one service: its operations first, since the messages on them are what channels and components are of.

use std::collections::BTreeMap;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::{Map, Value, json};

use crate::asyncapi::envelope;
use crate::asyncapi::party::{Heard, Party, Said};
use crate::asyncapi::tidy;
use crate::message::MessageType;
use crate::topics::Topology;

/// The version of the Kafka bindings that the documents use.
const BINDING: &str = "0.5.0";

/// All services of a style.
pub(super) struct Style<'a> {
    pub(super) name: &'a str,
    pub(super) topology: &'a Topology,
    pub(super) parties: &'a [Party],
}

/// The parts of a document that its messages fill.
struct Parts {
    generator: SchemaGenerator,
    messages: BTreeMap<&'static str, MessageType>,
    operations: Map<String, Value>,
}

impl Style<'_> {
    pub(super) fn document(&self, party: &Party) -> Value {
        // As messages are written; readers accept more.
        let settings = SchemaSettings::draft07().for_serialize();
        let settings = settings.with(|settings| settings.definitions_path = "/components/schemas".into());
        let settings = settings.with_transform(RecursiveTransform(tidy::closed_set_as_enum));
        let settings = settings.with_transform(RecursiveTransform(tidy::absent_is_not_null));
        let settings = settings.with_transform(RecursiveTransform(tidy::reference_unwrapped));
        let generator = settings.into_generator();
        let mut parts = Parts { generator, messages: BTreeMap::new(), operations: Map::new() };
        // What is nothing but an answer stands as the reply in the operation of what asks for it.
        for said in party.says.iter().filter(|said| !self.is_only_an_answer(said.message.kind)) {
            self.send(&mut parts, said);
        }
        for heard in party.hears.iter().filter(|heard| party.hears_unasked(heard.message.kind)) {
            self.receive(&mut parts, party, heard);
        }
        let channels = self.channels(&parts, party);
        let (messages, schemas) = self.components(&mut parts, party);
        json!({
            "asyncapi": "3.0.0",
            "info": {
                "title": format!("{} {}", self.name, party.name),
                "version": env!("CARGO_PKG_VERSION"),
                "description": party.about,
                "license": {
                    "name": "MIT OR Apache-2.0",
                    "url": "https://spdx.org/licenses/"
                }
            },
            "defaultContentType": "application/json",
            "servers": {"kafka": {
                "host": "{brokers}",
                "protocol": "kafka",
                "variables": {"brokers": {"description": "As in `KAFKA_BROKERS`.", "default": "localhost:9092"}}
            }},
            "channels": channels,
            "operations": parts.operations,
            "components": {"messages": messages, "schemas": schemas}
        })
    }

    fn is_only_an_answer(&self, kind: &str) -> bool {
        self.parties.iter().any(|party| party.waits_for(kind))
            && !self.parties.iter().any(|party| party.hears_unasked(kind))
    }

    /// The operation for what somebody says.
    fn send(&self, parts: &mut Parts, said: &Said) {
        let Said { message, answers, to_nobody, .. } = said;
        let mut about = if *to_nobody {
            "No service of this style hears it.".to_owned()
        } else {
            format!("Heard by {}.", self.names(|party| party.handles(message.kind)))
        };
        let mut operation = parts.operation("send", *message);
        if !answers.is_empty() {
            let from = self.names(|party| answers.iter().any(|answer| party.said(answer.kind).is_some()));
            about = format!("{about} The answer comes from {from}, with the same `ce_correlationid`.");
            operation["reply"] = parts.reply(*message, answers);
        }
        operation["description"] = about.into();
        parts.operations.insert(format!("send{}", message.kind), operation);
    }

    /// The operation for what `party` hears without having asked.
    fn receive(&self, parts: &mut Parts, party: &Party, heard: &Heard) {
        let kind = heard.message.kind;
        let mut about = format!("Said by {}.", self.names(|other| other.said(kind).is_some()));
        let mut operation = parts.operation("receive", heard.message);
        // The same in one piece.
        if let Some(messages) = operation["messages"].as_array_mut() {
            messages.push(reference(&["channels", heard.message.topic, "messages", &structured(kind)]));
        }
        if let Some(group) = heard.group {
            let group = json!({"type": "string", "enum": [group]});
            operation["bindings"] = json!({"kafka": {"groupId": group, "bindingVersion": BINDING}});
        }
        let asked = self.parties.iter().filter_map(|other| other.said(kind));
        let answers = asked.flat_map(|asked| &asked.answers).copied();
        let answers: Vec<MessageType> = answers.filter(|answer| party.said(answer.kind).is_some()).collect();
        if !answers.is_empty() {
            // Not by what caused it: between the two there may be messages of others.
            about += " The sender waits for the answer, which has the same `ce_correlationid`.";
            operation["reply"] = parts.reply(heard.message, &answers);
        }
        operation["description"] = about.into();
        parts.operations.insert(format!("receive{kind}"), operation);
    }

    /// The topics on which the document's messages are.
    fn channels(&self, parts: &Parts, party: &Party) -> Value {
        let mut channels = Map::new();
        for (kind, message) in &parts.messages {
            let channel = channels.entry(message.topic).or_insert_with(|| self.channel(message.topic));
            channel["messages"][*kind] = reference(&["components", "messages", kind]);
            if party.hears_unasked(kind) {
                let kind = structured(kind);
                channel["messages"][&kind] = reference(&["components", "messages", &kind]);
            }
        }
        channels.into()
    }

    /// Whether what is on `topic` is there because commands say so: its address is in them.
    fn has_only_replies(&self, topic: &str) -> bool {
        let said = self.parties.iter().flat_map(|party| &party.says);
        let replies = said.clone().flat_map(|said| (said.message.replies)()).map(|reply| reply.kind);
        let replies: Vec<&str> = replies.collect();
        let mut on_it = said.filter(|said| said.message.topic == topic);
        on_it.clone().next().is_some() && on_it.all(|said| replies.contains(&said.message.kind))
    }

    fn channel(&self, topic: &str) -> Value {
        if self.has_only_replies(topic) {
            return json!({
                "address": null,
                "description": format!("The topic that `ce_replyto` of the command names. Commands of this style name `{topic}`."),
                "messages": {}
            });
        }
        let mut kafka = json!({"topic": topic, "bindingVersion": BINDING});
        if self.topology.kept.contains(&topic) {
            kafka["topicConfiguration"] = json!({"retention.ms": -1});
        }
        json!({
            "address": topic,
            "description": "A Kafka topic. Where `KAFKA_PREFIX` is set, its name starts with that.",
            "messages": {},
            "bindings": {"kafka": kafka}
        })
    }

    /// The document's messages and their schemas.
    fn components(&self, parts: &mut Parts, party: &Party) -> (Map<String, Value>, Map<String, Value>) {
        let (mut messages, mut wholes) = (Map::new(), Map::new());
        for message in parts.messages.values().copied().collect::<Vec<_>>() {
            let kind = message.kind;
            let mut documented = self.message(parts, message);
            if party.hears_unasked(kind) {
                documented["headers"] = envelope::accepted_headers(kind, message.is_answered());
                let whole = format!("{kind}Event");
                wholes.insert(
                    whole.clone(),
                    envelope::structured_payload(kind, &documented["payload"], message.is_answered()),
                );
                messages.insert(structured(kind), in_one_piece(documented.clone(), &whole));
            }
            messages.insert(kind.to_owned(), documented);
        }
        let mut schemas = parts.generator.take_definitions(true);
        for kind in parts.messages.keys() {
            // Said of the message already.
            schemas.get_mut(*kind).and_then(Value::as_object_mut).map(|schema| schema.remove("description"));
        }
        let says = parts.messages.keys().any(|kind| !party.hears_unasked(kind));
        let hears = !wholes.is_empty();
        if hears {
            schemas.insert(envelope::ACCEPTED_WHOLE.to_owned(), envelope::accepted_whole());
        }
        schemas.extend(wholes);
        tidy::sets_named(&mut schemas);
        // Of headers nobody makes a type.
        let headers = envelope::of_headers(says, hears).into_iter();
        schemas.extend(headers.map(|(name, schema)| (name.to_owned(), schema)));
        (messages, schemas)
    }

    /// A message of the party's, or an answer that it waits for.
    fn message(&self, parts: &mut Parts, message: MessageType) -> Value {
        let kind = message.kind;
        let senders = self.parties.iter().filter(|party| party.said(kind).is_some());
        let sources: Vec<String> = senders.map(|party| format!("/{}", party.name)).collect();
        let key = self.parties.iter().find_map(|party| party.said(kind)).map(|said| said.key);
        json!({
            "name": kind,
            "summary": parts.summary(message),
            "contentType": "application/json",
            "headers": envelope::headers(kind, &sources, message.is_answered()),
            "payload": (message.schema)(&mut parts.generator),
            "correlationId": {"location": "$message.header#/ce_correlationid"},
            "bindings": {"kafka": {
                "key": {"type": "string", "minLength": 1, "description": key},
                "bindingVersion": BINDING
            }}
        })
    }

    /// Those of whom `is` holds, as in "a, b and c".
    fn names(&self, is: impl Fn(&Party) -> bool) -> String {
        let names: Vec<&str> =
            self.parties.iter().filter(|party| is(party)).map(|party| party.name).collect();
        match names.split_last() {
            Some((last, [])) => (*last).to_owned(),
            Some((last, others)) => format!("{} and {last}", others.join(", ")),
            None => "nobody".to_owned(),
        }
    }
}

impl Parts {
    fn operation(&mut self, action: &str, message: MessageType) -> Value {
        let mut operation = self.messages_on_a_channel(&[message]);
        operation["action"] = action.into();
        operation["summary"] = self.summary(message);
        operation
    }

    /// Messages and the channel they are on, as an operation and its reply have them. They are part of the document now.
    fn messages_on_a_channel(&mut self, messages: &[MessageType]) -> Value {
        self.messages.extend(messages.iter().map(|message| (message.kind, *message)));
        let on_channel = |it: &MessageType| reference(&["channels", it.topic, "messages", it.kind]);
        json!({
            "channel": messages.first().map(|first| reference(&["channels", first.topic])),
            "messages": messages.iter().map(on_channel).collect::<Vec<_>>()
        })
    }

    /// The answers to `asked`, as its operation has them. The address of a command's is in its envelope.
    fn reply(&mut self, asked: MessageType, answers: &[MessageType]) -> Value {
        let mut reply = self.messages_on_a_channel(answers);
        if asked.is_answered() {
            let about = "The topic that the command names, by its whole name.";
            reply["address"] = json!({"location": envelope::REPLY_ADDRESS, "description": about});
        }
        reply
    }

    /// What the documentation of the message's type says.
    fn summary(&mut self, message: MessageType) -> Value {
        (message.schema)(&mut self.generator);
        self.generator.definitions().get(message.kind).map(|schema| schema["description"].clone()).into()
    }
}

/// What a document calls the message `kind` in structured mode.
fn structured(kind: &str) -> String {
    format!("{kind}Structured")
}

/// `message` in structured mode: all of it is in the value, as the schema `whole` says.
fn in_one_piece(mut message: Value, whole: &str) -> Value {
    message["contentType"] = envelope::STRUCTURED.into();
    message["headers"] = envelope::structured_headers();
    message["payload"] = reference(&["components", "schemas", whole]);
    message["correlationId"] = json!({"location": envelope::STRUCTURED_CORRELATION});
    message
}

fn reference(path: &[&str]) -> Value {
    json!({"$ref": format!("#/{}", path.join("/"))})
}
