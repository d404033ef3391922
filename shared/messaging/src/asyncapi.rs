//! AsyncAPI 3.0: what each service of a style says and hears, as a document made from the types that go over the wire.
//!
//! Each [`Party`] names what it says and hears. Who is at the other end follows from all of them together, so no document
//! can claim what another denies.

mod document;
mod envelope;

use schemars::{Schema, SchemaGenerator};
use serde_json::Value;

use crate::message::{Incoming, Message};
use crate::topics::Topology;

/// A message type, as documents describe it.
#[derive(Clone, Copy, Debug)]
pub struct MessageType {
    kind: &'static str,
    topic: &'static str,
    schema: fn(&mut SchemaGenerator) -> Schema,
}

impl MessageType {
    /// `M`
    pub fn of<M: Message>() -> Self {
        Self { kind: M::TYPE, topic: M::TOPIC, schema: SchemaGenerator::subschema_for::<M> }
    }
}

/// A service of a style, as the others know it.
#[derive(Clone, Debug)]
pub struct Party {
    name: &'static str,
    about: &'static str,
    says: Vec<Said>,
    hears: Vec<Heard>,
}

/// What somebody says.
#[derive(Clone, Debug)]
struct Said {
    message: MessageType,
    /// What its key is.
    key: &'static str,
    /// What the sender waits for.
    answers: Vec<MessageType>,
    /// Whether it is said although nobody in the style hears it.
    to_nobody: bool,
}

/// What somebody hears, and in which consumer group.
#[derive(Clone, Debug)]
struct Heard {
    message: MessageType,
    group: Option<&'static str>,
}

impl Party {
    /// The service `name`, which has said and heard nothing yet.
    #[must_use]
    pub fn new(name: &'static str, about: &'static str) -> Self {
        Self { name, about, says: Vec::new(), hears: Vec::new() }
    }

    /// It says `M`; `key` describes the Kafka key.
    #[must_use]
    pub fn says<M: Message>(self, key: &'static str) -> Self {
        self.asks::<M>(key, [])
    }

    /// It says `M`, although no service of the style hears it: whoever comes next may want it.
    #[must_use]
    pub fn says_to_nobody<M: Message>(mut self, key: &'static str) -> Self {
        self.says.push(Said { message: MessageType::of::<M>(), key, answers: Vec::new(), to_nobody: true });
        self
    }

    /// It says `M` and waits for one of `answers`.
    #[must_use]
    pub fn asks<M: Message>(
        mut self,
        key: &'static str,
        answers: impl IntoIterator<Item = MessageType>,
    ) -> Self {
        let (message, answers) = (MessageType::of::<M>(), answers.into_iter().collect());
        self.says.push(Said { message, key, answers, to_nobody: false });
        self
    }

    /// It hears what `I` has, as a member of the consumer group `group` or, without one, in each of its replicas.
    #[must_use]
    pub fn hears<I: Incoming>(mut self, group: impl Into<Option<&'static str>>) -> Self {
        let group = group.into();
        self.hears.extend(I::messages().into_iter().map(|message| Heard { message, group }));
        self
    }

    fn said(&self, kind: &str) -> Option<&Said> {
        self.says.iter().find(|said| said.message.kind == kind)
    }

    /// Whether it hears `kind` only as the answer to what it asked.
    fn waits_for(&self, kind: &str) -> bool {
        self.says.iter().flat_map(|said| &said.answers).any(|answer| answer.kind == kind)
    }

    fn handles(&self, kind: &str) -> bool {
        self.hears.iter().any(|heard| heard.message.kind == kind)
    }

    fn hears_unasked(&self, kind: &str) -> bool {
        self.handles(kind) && !self.waits_for(kind)
    }
}

/// The document of each of `parties`, the services of `style`.
pub fn documents(style: &str, topology: &Topology, parties: &[Party]) -> Vec<(&'static str, Value)> {
    let style = document::Style { name: style, topology, parties };
    parties.iter().map(|party| (party.name, style.document(party))).collect()
}
