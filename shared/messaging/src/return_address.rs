//! The return address of a command (a pattern's name): the topic on which its sender wants the reply, in `ce_replyto`. Whoever
//! answers knows nobody, and answers where it is told; so it looks at the address before it does anything.

use crate::settings::KafkaSettings;

/// Where the reply to a command goes: a topic of this installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnAddress(String);

/// Why a command is not begun.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AddressError {
    #[error("the return address is missing: a command says in ce_replyto on which topic it is answered")]
    Missing,
    #[error("the return address {0} is no topic of this installation")]
    Foreign(String),
    #[error("the return address {0} is where this command was read: its reply would come back")]
    Own(String),
}

impl ReturnAddress {
    /// The topic without the installation's prefix, as an outbox has it.
    pub(crate) fn bare(&self) -> &str {
        &self.0
    }

    /// The topic that `reply_to` names, for a consumer that reads `own` topics.
    ///
    /// # Errors
    /// When nobody who belongs to this installation could read the reply, or this consumer would.
    pub(crate) fn read(
        reply_to: Option<&str>,
        settings: &KafkaSettings,
        own: &[&str],
    ) -> Result<Self, AddressError> {
        let whole = reply_to.filter(|it| !it.is_empty()).ok_or(AddressError::Missing)?;
        let bare =
            whole.strip_prefix(&settings.kafka_prefix).filter(|bare| is_name(whole) && !bare.is_empty());
        let bare = bare.ok_or_else(|| AddressError::Foreign(whole.to_owned()))?;
        if own.contains(&bare) {
            return Err(AddressError::Own(whole.to_owned()));
        }
        Ok(Self(bare.to_owned()))
    }
}

/// Whether Kafka takes `topic` for the name of one.
fn is_name(topic: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    topic.len() <= 249 && topic.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(reply_to: Option<&str>, prefix: &str) -> Result<ReturnAddress, AddressError> {
        ReturnAddress::read(reply_to, &KafkaSettings::at("localhost:9092", prefix), &["billing"])
    }

    #[test]
    fn an_address_is_a_topic_of_the_installation_and_of_somebody_else() {
        let updates = ReturnAddress("order-updates".to_owned());
        assert_eq!(read(Some("order-updates"), ""), Ok(updates.clone()));
        assert_eq!(read(Some("shop.order-updates"), "shop."), Ok(updates));
        for missing in [None, Some("")] {
            assert_eq!(read(missing, "shop."), Err(AddressError::Missing));
        }
        for foreign in ["order-updates", "shop2.order-updates", "shop.", "shop.order updates", "shop.\u{e9}"]
        {
            assert_eq!(read(Some(foreign), "shop."), Err(AddressError::Foreign(foreign.to_owned())));
        }
        assert_eq!(read(Some("shop.billing"), "shop."), Err(AddressError::Own("shop.billing".to_owned())));
    }
}
