//! Who takes part: a service, with what it says and what it hears.

use crate::message::{Incoming, Message, MessageType};

/// A service of a style, as the others know it.
#[derive(Clone, Debug)]
pub struct Party {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) says: Vec<Said>,
    pub(super) hears: Vec<Heard>,
}

/// What somebody says.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) message: MessageType,
    /// What its key is.
    pub(super) key: &'static str,
    /// What the sender waits for.
    pub(super) answers: Vec<MessageType>,
    /// Whether it is said although nobody in the style hears it.
    pub(super) to_nobody: bool,
}

/// What somebody hears, and in which consumer group.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) message: MessageType,
    pub(super) group: Option<&'static str>,
}

impl Party {
    /// The service `name`, which has said and heard nothing yet.
    #[must_use]
    pub fn new(name: &'static str, about: &'static str) -> Self {
        Self { name, about, says: Vec::new(), hears: Vec::new() }
    }

    /// It says `M`; `key` describes the Kafka key. Of a command it waits for a reply.
    #[must_use]
    pub fn says<M: Message>(self, key: &'static str) -> Self {
        self.asks::<M>(key, M::replies())
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

    /// It answers the commands that it hears; `key` describes the Kafka key of a reply.
    #[must_use]
    pub fn replies(mut self, key: &'static str) -> Self {
        let replies = self.hears.iter().flat_map(|heard| (heard.message.replies)());
        let said = |message| Said { message, key, answers: Vec::new(), to_nobody: false };
        self.says.extend(replies.map(said).collect::<Vec<_>>());
        self
    }

    /// It hears what `I` has, as a member of the consumer group `group` or, without one, in each of its replicas.
    #[must_use]
    pub fn hears<I: Incoming>(mut self, group: impl Into<Option<&'static str>>) -> Self {
        let group = group.into();
        self.hears.extend(I::messages().into_iter().map(|message| Heard { message, group }));
        self
    }

    pub(super) fn said(&self, kind: &str) -> Option<&Said> {
        self.says.iter().find(|said| said.message.kind == kind)
    }

    /// Whether it hears `kind` only as the answer to what it asked.
    pub(super) fn waits_for(&self, kind: &str) -> bool {
        self.says.iter().flat_map(|said| &said.answers).any(|answer| answer.kind == kind)
    }

    pub(super) fn handles(&self, kind: &str) -> bool {
        self.hears.iter().any(|heard| heard.message.kind == kind)
    }

    pub(super) fn hears_unasked(&self, kind: &str) -> bool {
        self.handles(kind) && !self.waits_for(kind)
    }
}
