//! Which topics exist: asked before a command is begun whose reply would go there.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use rdkafka::consumer::Consumer as _;
use rdkafka::metadata::MetadataTopic;
use rdkafka::types::RDKafkaErrorCode;
use tokio::task::spawn_blocking;

use crate::reading::ANSWER_MAX;
use crate::settings::KafkaSettings;

/// The topics that are known to exist. A reply to one that does not would stay in the outbox, and everything behind it.
#[derive(Debug, Default)]
pub(crate) struct KnownTopics(Mutex<HashSet<String>>);

impl KnownTopics {
    /// Those of `addresses` that do not exist. The broker is asked once about each that does.
    ///
    /// # Errors
    /// When it does not answer: then nobody knows.
    pub(crate) async fn missing(
        &self,
        settings: &KafkaSettings,
        mut addresses: HashSet<String>,
    ) -> anyhow::Result<HashSet<String>> {
        addresses.retain(|address| !self.lock().contains(address));
        if addresses.is_empty() {
            return Ok(addresses);
        }
        let (settings, asked) = (settings.clone(), addresses.clone());
        // librdkafka's questions block.
        let existing = spawn_blocking(move || existing(&settings, asked)).await??;
        addresses.retain(|address| !existing.contains(address));
        self.lock().extend(existing);
        Ok(addresses)
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those of `asked` that are topics. A reader asks: for a producer, brokers would create what it asks about.
fn existing(settings: &KafkaSettings, mut asked: HashSet<String>) -> anyhow::Result<HashSet<String>> {
    let kafka = settings.lone_reader("return-addresses", "latest")?;
    let mut missing = HashSet::new();
    for address in &asked {
        let topic = settings.topic(address);
        let metadata =
            kafka.fetch_metadata(Some(&topic), ANSWER_MAX).context("asking for a return address")?;
        let error = metadata.topics().first().and_then(MetadataTopic::error);
        match error.map(RDKafkaErrorCode::from) {
            None => {}
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                missing.insert(address.clone());
            }
            Some(error) => anyhow::bail!("asking for the return address {topic}: {error}"),
        }
    }
    asked.retain(|address| !missing.contains(address));
    Ok(asked)
}
