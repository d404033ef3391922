//! A Kafka broker: the one at `KAFKA_BROKERS`, one that the program `KAFKA_COMMAND` starts, or librdkafka's in-memory
//! one.

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewPartitions},
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, KafkaResult},
};
use tokio::{sync::Mutex, task::spawn_blocking};

use crate::{
    SandboxError,
    container::Container,
    container_spec::{self, Spec},
    kafka_command::CommandBroker,
    kafka_in_memory::InMemoryBroker,
    setting,
};

const EXTERNAL_ANSWER_MAX: Duration = Duration::from_secs(10);
const CONTAINER_READY_MAX: Duration = Duration::from_mins(2);

/// How long the in-memory broker holds an idle fetch at most. It answers one only when this time is over, messages or
/// not, where Apache Kafka answers as soon as there is something: so this is what a message waits on it.
const IN_MEMORY_FETCH_WAIT_MS: u32 = 5;

/// A Kafka broker. A private one ends when it is dropped.
#[derive(Debug)]
pub struct Kafka {
    brokers: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    External,
    Command { description: String, broker: Box<Mutex<CommandBroker>> },
    InMemory(InMemoryBroker),
    Container(Box<Container>),
}

impl Kafka {
    /// Uses the brokers at `KAFKA_BROKERS` if that is set, else starts a private one.
    pub async fn start() -> Result<Self, SandboxError> {
        match setting::read("KAFKA_BROKERS")? {
            Some(brokers) => Self::use_external(brokers).await,
            None => Self::start_private().await,
        }
    }

    /// Starts a private broker whatever `KAFKA_BROKERS` says, for experiments that take it down: by the program
    /// `KAFKA_COMMAND` if that is set, in a container if `SANDBOX` asks for it, else the in-memory one.
    ///
    /// The program is called with the argument `--with-parent` and talks in lines. It prints `ready HOST:PORT [NAME]` when
    /// clients are served and ends, with its broker, when its standard input does. It takes the order `kill`, to end
    /// the broker at once like a crash and answer `killed`, and `start`, to start it again on the same port and data
    /// and answer `ready HOST:PORT`.
    pub async fn start_private() -> Result<Self, SandboxError> {
        if let Some(program) = setting::read("KAFKA_COMMAND")? {
            let (broker, brokers) = CommandBroker::start(program).await?;
            let kind = Kind::Command { description: broker.describe(), broker: Box::new(Mutex::new(broker)) };
            return Ok(Self { brokers, kind });
        }
        if container_spec::wanted()? {
            return Self::start_container().await;
        }
        let broker = InMemoryBroker::start()?;
        Ok(Self { brokers: broker.address(), kind: Kind::InMemory(broker) })
    }

    async fn use_external(brokers: String) -> Result<Self, SandboxError> {
        let answered = await_answer(&brokers, EXTERNAL_ANSWER_MAX).await;
        answered.map_err(SandboxError::kafka(format!("reach Kafka at KAFKA_BROKERS ({brokers})")))?;
        Ok(Self { brokers, kind: Kind::External })
    }

    async fn start_container() -> Result<Self, SandboxError> {
        let spec = Spec::kafka()?;
        let brokers = format!("127.0.0.1:{}", spec.host_port);
        let container = Container::start(spec).await?;
        await_container(&brokers).await?;
        Ok(Self { brokers, kind: Kind::Container(Box::new(container)) })
    }

    /// Where clients connect first: a list of `host:port`, separated by commas.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// Whether the broker belongs to this process alone, so that it may be taken down.
    pub fn is_private(&self) -> bool {
        !matches!(self.kind, Kind::External)
    }

    /// Whether this is librdkafka's in-memory broker. It keeps the last 5 MiB of each partition and nothing else on
    /// top of the protocol that an application needs; conclusions about load, rebalances or lost brokers need a
    /// real one.
    pub fn is_in_memory(&self) -> bool {
        matches!(self.kind, Kind::InMemory(_))
    }

    /// One line for reports, since figures depend on it.
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::External => "Kafka at KAFKA_BROKERS".to_owned(),
            Kind::Command { description, .. } => description.clone(),
            Kind::Container(container) => format!("Kafka in a container of {}", container.image()),
            Kind::InMemory(_) => "librdkafka's in-memory broker (not Apache Kafka)".to_owned(),
        }
    }

    /// The environment that services need to use this broker: its address, and what this kind of broker asks of its
    /// clients beyond their defaults.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![("KAFKA_BROKERS", self.brokers.clone())];
        if self.is_in_memory() {
            settings.push(("KAFKA_FETCH_WAIT_MS", IN_MEMORY_FETCH_WAIT_MS.to_string()));
        }
        settings
    }

    /// Creates topics, each a name and a number of partitions, on the in-memory broker, which does not speak the
    /// admin protocol; those that are there already stay. `false`: this broker speaks it, and nothing was done.
    pub fn create_topics(&self, topics: &[(String, i32)]) -> Result<bool, SandboxError> {
        let Kind::InMemory(broker) = &self.kind else { return Ok(false) };
        topics.iter().try_for_each(|(topic, partitions)| broker.create_topic(topic, *partitions))?;
        Ok(true)
    }

    /// Grows each of `topics` to a number of partitions, as operators do while everything runs. `false`: the in-memory broker
    /// cannot, and nothing was done.
    pub async fn grow_topics(&self, topics: &[(String, usize)]) -> Result<bool, SandboxError> {
        if self.is_in_memory() {
            return Ok(false);
        }
        grow_topics(&self.brokers, topics).await.map_err(SandboxError::kafka("add partitions"))?;
        Ok(true)
    }

    /// The in-memory broker, if this is one: it can do wrong in ways that a real one cannot be made to.
    pub fn in_memory(&self) -> Option<&InMemoryBroker> {
        match &self.kind {
            Kind::InMemory(broker) => Some(broker),
            Kind::External | Kind::Command { .. } | Kind::Container(_) => None,
        }
    }

    /// Fault injection: ends the broker at once, connections included. What it acknowledged stays.
    pub async fn down(&self) -> Result<(), SandboxError> {
        match &self.kind {
            Kind::External => Err(SandboxError::NotPrivate { name: "KAFKA_BROKERS" }),
            Kind::Command { broker, .. } => broker.lock().await.kill().await,
            Kind::Container(container) => container.kill().await,
            Kind::InMemory(broker) => broker.down(),
        }
    }

    /// Lets it serve clients again at the same address.
    pub async fn up(&self) -> Result<(), SandboxError> {
        match &self.kind {
            Kind::External => Err(SandboxError::NotPrivate { name: "KAFKA_BROKERS" }),
            Kind::Command { broker, .. } => broker.lock().await.restart().await,
            Kind::Container(container) => {
                container.restart().await?;
                await_container(&self.brokers).await
            }
            Kind::InMemory(broker) => broker.up(),
        }
    }

    /// Stops a private broker, and waits until it is gone.
    pub async fn stop(self) -> Result<(), SandboxError> {
        match self.kind {
            Kind::External => Ok(()),
            Kind::Command { broker, .. } => broker.into_inner().stop().await,
            Kind::Container(container) => container.remove().await,
            Kind::InMemory(broker) => {
                // It waits for its threads.
                let stopped = spawn_blocking(move || drop(broker)).await;
                stopped.expect("the end is not cancelled and does not panic");
                Ok(())
            }
        }
    }
}

async fn grow_topics(brokers: &str, topics: &[(String, usize)]) -> KafkaResult<()> {
    let admin: AdminClient<_> = ClientConfig::new().set("bootstrap.servers", brokers).create()?;
    let grown: Vec<_> =
        topics.iter().map(|(topic, partitions)| NewPartitions::new(topic, *partitions)).collect();
    let options = AdminOptions::new().operation_timeout(Some(EXTERNAL_ANSWER_MAX));
    for outcome in admin.create_partitions(&grown, &options).await? {
        outcome.map_err(|(_, error)| KafkaError::AdminOp(error))?;
    }
    Ok(())
}

/// Waits for an answer; the client tries again by itself.
async fn await_answer(brokers: &str, max: Duration) -> KafkaResult<()> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    let asked = spawn_blocking(move || {
        let client: BaseConsumer = config.create()?;
        client.fetch_metadata(None, max).map(drop)
    });
    asked.await.expect("the question is not cancelled and does not panic")
}

async fn await_container(brokers: &str) -> Result<(), SandboxError> {
    let answered = await_answer(brokers, CONTAINER_READY_MAX).await;
    answered.map_err(SandboxError::kafka("reach Kafka in its container"))
}
