//! Creating topics, with a fixed number of partitions: safe to run again and by several at once. And deleting them.

use std::time::Duration;

use anyhow::{Context as _, bail};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::types::RDKafkaErrorCode;

use crate::client::Context;
use crate::settings::KafkaSettings;

/// How long brokers may take.
const CREATE_MAX: Duration = Duration::from_secs(30);

/// How long a topic that passes keeps a message: a week. The inbox remembers for longer.
const WEEK_MS: &str = "604800000";

/// A topic that a style needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its whole name.
    pub name: String,
    /// How many partitions it gets.
    pub partitions: i32,
    /// Whether it keeps everything, so that a replica can be rebuilt from its beginning; otherwise a week.
    pub keeps_everything: bool,
}

/// Which topics a style has, and who reads them.
#[derive(Clone, Debug, Default)]
pub struct Topology {
    /// Topics that keep everything.
    pub kept: Vec<&'static str>,
    /// Topics that keep a week.
    pub passing: Vec<&'static str>,
    /// The consumers, and what each reads. What it cannot handle goes to a topic of its own.
    pub consumers: Vec<(&'static str, Vec<&'static str>)>,
}

impl Topology {
    /// All topics by their whole names, those of dead letters included.
    pub fn topics(&self, settings: &KafkaSettings) -> Vec<Topic> {
        let topic = |name: String, partitions, keeps_everything| Topic { name, partitions, keeps_everything };
        let kept = self.kept.iter().map(|name| topic(settings.topic(name), settings.kafka_partitions, true));
        let passing =
            self.passing.iter().map(|name| topic(settings.topic(name), settings.kafka_partitions, false));
        let dead_letters = self.dead_letters(settings).into_iter().map(|name| topic(name, 1, true));
        kept.chain(passing).chain(dead_letters).collect()
    }

    /// The topics of dead letters by their whole names.
    pub fn dead_letters(&self, settings: &KafkaSettings) -> Vec<String> {
        let of = |(consumer, topics): &(&'static str, Vec<&'static str>)| -> Vec<String> {
            topics.iter().map(|name| settings.dead_letter_topic(name, consumer)).collect()
        };
        self.consumers.iter().flat_map(of).collect()
    }
}

/// Creates those topics of `topology` that do not exist.
///
/// # Errors
/// When the brokers cannot be reached or refuse, as one does that has too few neighbours for the copies asked for.
pub async fn create_topics(settings: &KafkaSettings, topology: &Topology) -> anyhow::Result<()> {
    let topics = topology.topics(settings);
    let admin = admin(settings)?;
    let new: Vec<NewTopic<'_>> = topics
        .iter()
        .map(|topic| {
            let copies = TopicReplication::Fixed(settings.kafka_replication);
            let new = NewTopic::new(&topic.name, topic.partitions, copies);
            // Said for each topic, since a cluster may have other defaults.
            let kept_ms = if topic.keeps_everything { "-1" } else { WEEK_MS };
            new.set("cleanup.policy", "delete").set("retention.ms", kept_ms).set("retention.bytes", "-1")
        })
        .collect();
    for outcome in admin.create_topics(&new, &options()).await.context("creating topics")? {
        match outcome {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, error)) => bail!("creating topic {topic}: {error}"),
        }
    }
    Ok(())
}

/// Deletes the topics of `topology`, with all that is in them: for installations that come and go, such as those of a test.
///
/// # Errors
/// When the brokers cannot be reached.
pub async fn delete_topics(settings: &KafkaSettings, topology: &Topology) -> anyhow::Result<()> {
    let topics = topology.topics(settings);
    let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    admin(settings)?.delete_topics(&names, &options()).await.context("deleting topics")?;
    Ok(())
}

fn admin(settings: &KafkaSettings) -> anyhow::Result<AdminClient<Context>> {
    settings.client().create_with_context(Context::default()).context("KAFKA_*")
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(CREATE_MAX)).operation_timeout(Some(CREATE_MAX))
}
