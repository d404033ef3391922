//! Creating topics, with a fixed number of partitions: safe to run again and by several at once. What exists already is compared, and
//! never changed. And deleting them.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::types::RDKafkaErrorCode;
use tokio::task::spawn_blocking;

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

impl Topic {
    /// How long and how it keeps its messages: said for each topic, since a cluster may have other defaults.
    fn retention(&self) -> [(&'static str, &'static str); 3] {
        let kept_ms = if self.keeps_everything { "-1" } else { WEEK_MS };
        [("cleanup.policy", "delete"), ("retention.ms", kept_ms), ("retention.bytes", "-1")]
    }
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

/// Creates those topics of `topology` that do not exist. Returns how those that existed differ from what the style needs, a sentence for
/// each difference: nothing is done about them. More partitions are no difference, since topics may grow.
///
/// # Errors
/// When the brokers cannot be reached or refuse, as one does that has too few neighbours for the copies asked for.
pub async fn create_topics(settings: &KafkaSettings, topology: &Topology) -> anyhow::Result<Vec<String>> {
    let topics = topology.topics(settings);
    let admin = admin(settings)?;
    let new: Vec<NewTopic<'_>> = topics
        .iter()
        .map(|topic| {
            let copies = TopicReplication::Fixed(settings.kafka_replication);
            let new = NewTopic::new(&topic.name, topic.partitions, copies);
            topic.retention().into_iter().fold(new, |new, (name, value)| new.set(name, value))
        })
        .collect();
    let mut existing = Vec::new();
    let outcomes = admin.create_topics(&new, &options()).await.context("creating topics")?;
    for (outcome, topic) in outcomes.into_iter().zip(&topics) {
        match outcome {
            Ok(_) => {}
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => existing.push(topic),
            Err((topic, error)) => bail!("creating topic {topic}: {error}"),
        }
    }
    if existing.is_empty() { Ok(Vec::new()) } else { differences(admin, &existing).await }
}

/// How `topics` differ from what they should be.
async fn differences(admin: AdminClient<Context>, topics: &[&Topic]) -> anyhow::Result<Vec<String>> {
    let resources: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(&topic.name)).collect();
    let described = admin.describe_configs(&resources, &options()).await.context("describing topics")?;
    let partitions = partitions(admin).await?;
    let mut differences = Vec::new();
    for (topic, described) in topics.iter().zip(described) {
        let described = described.map_err(|error| anyhow!("describing topic {}: {error}", topic.name))?;
        let partitions = partitions.get(&topic.name).copied().unwrap_or_default();
        if partitions < usize::try_from(topic.partitions)? {
            differences
                .push(format!("topic {} has {partitions} partitions, not {}", topic.name, topic.partitions));
        }
        differences.extend(other_retention(topic, &described));
    }
    Ok(differences)
}

/// How many partitions each topic has.
async fn partitions(admin: AdminClient<Context>) -> anyhow::Result<HashMap<String, usize>> {
    let metadata = spawn_blocking(move || admin.inner().fetch_metadata(None, CREATE_MAX)).await??;
    Ok(metadata.topics().iter().map(|topic| (topic.name().to_owned(), topic.partitions().len())).collect())
}

fn other_retention(topic: &Topic, described: &ConfigResource) -> Vec<String> {
    let described = described.entry_map();
    let differing = topic.retention().into_iter().filter_map(|(name, wanted)| {
        let value = described.get(name)?.value.as_deref()?;
        (value != wanted).then(|| format!("topic {} has {name}={value}, not {wanted}", topic.name))
    });
    differing.collect()
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
