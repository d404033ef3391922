//! Where a deployment can be reached, from any process.

use std::collections::BTreeMap;
use std::path::PathBuf;

use messaging::KafkaSettings;
use sandbox::Kafka;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::styles::{Service, Style};

/// Where a deployment can be reached: enough for a consistency check from another process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Addresses {
    /// The style's name.
    pub style: String,
    /// Base URL of each service.
    pub services: BTreeMap<Service, Url>,
    /// The database as the auditor sees it: everything, read-only.
    pub auditor: Url,
    /// The SMTP sink's mailbox, if it can be read.
    pub mailbox: Option<PathBuf>,
    /// Kafka, in styles that have messages.
    pub kafka: Option<Brokers>,
}

/// A deployment's part of a Kafka cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Brokers {
    /// `host:port[,host:port...]`
    pub servers: String,
    /// What its topics and groups start with.
    pub prefix: String,
}

impl Brokers {
    /// The settings of a client.
    pub fn settings(&self) -> KafkaSettings {
        KafkaSettings::at(&self.servers, &self.prefix)
    }
}

/// Topics of its own, since others may run on the same broker; `None` for a style without messages.
pub(super) async fn create_topics(
    style: &Style,
    kafka: &Kafka,
    name: &str,
    partitions: Option<i32>,
) -> anyhow::Result<Option<Brokers>> {
    let topology = (style.topology)();
    let brokers = Brokers { servers: kafka.brokers().to_owned(), prefix: format!("{name}.") };
    let mut settings = brokers.settings();
    settings.kafka_partitions = partitions.unwrap_or(settings.kafka_partitions);
    let topics: Vec<(String, i32)> =
        topology.topics(&settings).into_iter().map(|topic| (topic.name, topic.partitions)).collect();
    if topics.is_empty() {
        return Ok(None);
    }
    if !kafka.create_topics(&topics)? {
        let differences = messaging::create_topics(&settings, &topology).await?;
        anyhow::ensure!(differences.is_empty(), "{}", differences.join("; "));
    }
    Ok(Some(brokers))
}
