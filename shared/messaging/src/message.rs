//! Messages: what goes over the wire under one type name, and what is about to be said.

use std::borrow::Cow;
use std::fmt::Display;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::return_address::ReturnAddress;

/// A message of a style. Implemented by [`messages!`](crate::messages).
pub trait Message: Serialize + DeserializeOwned + JsonSchema {
    /// `ce_type`
    const TYPE: &'static str;
    /// Where it is published. A reply goes where its command says.
    const TOPIC: &'static str;
    /// Whether it is a command that is answered: then it says where.
    const ANSWERED: bool;

    /// The replies to it, of which it gets one.
    fn replies() -> Vec<MessageType>;
}

/// A message type, as documents describe it.
#[derive(Clone, Copy, Debug)]
pub struct MessageType {
    pub(crate) kind: &'static str,
    pub(crate) topic: &'static str,
    pub(crate) replies: fn() -> Vec<Self>,
    pub(crate) schema: fn(&mut SchemaGenerator) -> Schema,
}

impl MessageType {
    /// `M`
    pub fn of<M: Message>() -> Self {
        Self {
            kind: M::TYPE,
            topic: M::TOPIC,
            replies: M::replies,
            schema: SchemaGenerator::subschema_for::<M>,
        }
    }

    /// Whether it is a command that is answered where it says.
    pub(crate) fn is_answered(&self) -> bool {
        !(self.replies)().is_empty()
    }
}

/// What a consumer handles: some of its style's messages. Implemented by [`consumes!`](crate::consumes).
pub trait Incoming: Sized + Send + Sync + 'static {
    /// These messages, for documents.
    fn messages() -> Vec<MessageType>;

    /// The topics on which these messages are.
    fn topics() -> Vec<&'static str>;

    /// The message of type `kind` that `body` is.
    fn decode(kind: &str, body: &[u8]) -> Decoded<Self>;

    /// Whether it is a command that is answered.
    fn is_answered(&self) -> bool;
}

/// What became of a message's body.
#[derive(Debug)]
pub enum Decoded<M> {
    /// One to handle.
    Message(M),
    /// One that is meant for others.
    NotOurs,
    /// One of a type that this version of the style does not know. A newer producer may have added it.
    Unknown,
    /// It violates its schema.
    Invalid(serde_json::Error),
}

/// A message that is about to be said.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub(crate) topic: Cow<'static, str>,
    pub(crate) kind: &'static str,
    pub(crate) key: String,
    pub(crate) subject: String,
    pub(crate) aggregate_version: Option<i64>,
    pub(crate) reply_to: Option<&'static str>,
    pub(crate) payload: String,
}

impl Outgoing {
    /// `message`, in order with all others of the same `key`. `subject` is what it tells about, such as `order/7`.
    pub fn new<M: Message>(key: impl Display, subject: impl Display, message: &M) -> Self {
        Self {
            topic: Cow::Borrowed(M::TOPIC),
            kind: M::TYPE,
            key: key.to_string(),
            subject: subject.to_string(),
            aggregate_version: None,
            reply_to: None,
            payload: serde_json::to_string(message).expect("message types serialize"),
        }
    }

    /// Says which version of its subject it tells about.
    #[must_use]
    pub fn version(mut self, version: i64) -> Self {
        self.aggregate_version = Some(version);
        self
    }

    /// Makes it a command that is to be answered on `topic`.
    #[must_use]
    pub fn answered_on(mut self, topic: &'static str) -> Self {
        self.reply_to = Some(topic);
        self
    }

    /// Makes it the reply that goes to `address`. A reply asks for none: whoever answered it would be answered, and so on.
    pub(crate) fn reply(mut self, address: &ReturnAddress) -> Self {
        self.topic = Cow::Owned(address.bare().to_owned());
        self.reply_to = None;
        self
    }
}

/// Gives each type its topic and makes it a [`Message`]; lists their names as `TYPES`. A command is followed by its replies, as in
/// `WithdrawMoney -> MoneyWithdrawn | WithdrawalRefused`.
#[macro_export]
macro_rules! messages {
    ($($topic:literal: $($message:ident $(-> $($reply:ident)|+)?),+;)+) => {
        $($(impl $crate::Message for $message {
            const TYPE: &'static str = stringify!($message);
            const TOPIC: &'static str = $topic;
            const ANSWERED: bool = {
                const REPLIES: &[&str] = &[$($(stringify!($reply)),+)?];
                !REPLIES.is_empty()
            };

            fn replies() -> Vec<$crate::asyncapi::MessageType> {
                vec![$($($crate::asyncapi::MessageType::of::<$reply>()),+)?]
            }
        })+)+

        /// Every type name of this style.
        pub const TYPES: &[&str] = &[$($(stringify!($message)),+),+];
    };
}

/// Declares what a consumer handles as an enum of message types; `known` are all types of the style.
#[macro_export]
macro_rules! consumes {
    ($(#[$doc:meta])* $vis:vis enum $name:ident of $known:expr; { $($message:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug)]
        #[allow(missing_docs, clippy::enum_variant_names, reason = "the types are documented, and named as they are")]
        $vis enum $name { $($message($message)),+ }

        impl $crate::Incoming for $name {
            fn messages() -> Vec<$crate::asyncapi::MessageType> {
                vec![$($crate::asyncapi::MessageType::of::<$message>()),+]
            }

            fn topics() -> Vec<&'static str> {
                let mut topics = vec![$(<$message as $crate::Message>::TOPIC),+];
                topics.sort_unstable();
                topics.dedup();
                topics
            }

            fn decode(kind: &str, body: &[u8]) -> $crate::Decoded<Self> {
                match kind {
                    $(<$message as $crate::Message>::TYPE => match $crate::decode(body) {
                        Ok(message) => $crate::Decoded::Message(Self::$message(message)),
                        Err(error) => $crate::Decoded::Invalid(error),
                    },)+
                    other if $known.contains(&other) => $crate::Decoded::NotOurs,
                    _ => $crate::Decoded::Unknown,
                }
            }

            fn is_answered(&self) -> bool {
                match self { $(Self::$message(_) => <$message as $crate::Message>::ANSWERED),+ }
            }
        }
    };
}

/// A body as `M`: an object. Serde would take an array of the fields for one.
#[doc(hidden)]
pub fn decode<M: Message>(body: &[u8]) -> Result<M, serde_json::Error> {
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(serde::de::Error::custom("an array instead of an object"));
    }
    serde_json::from_slice(body)
}
