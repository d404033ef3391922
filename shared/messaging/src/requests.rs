//! What a gateway asks by message: it publishes, waits for Kafka's acknowledgement, and then for the messages that tell what came
//! of it (see [`Outcomes`]). It keeps nothing.

use std::sync::Arc;

use rdkafka::error::KafkaError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::event::{Cause, Event};
use crate::message::{Incoming, Outgoing};
use crate::outcomes::{Outcomes, Waiting};
use crate::producer::Producer;
use crate::settings::KafkaSettings;

/// The requests of a gateway, and their outcomes. Its clones are the same.
pub struct Requests<M> {
    producer: Producer,
    outcomes: Arc<Outcomes<M>>,
}

/// Why a request was not handed over. The texts are for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Its outcome could not be heard, so it was not published.
    #[error("Kafka cannot be reached. Nothing was done; try again.")]
    NotReading,
    /// Kafka has it, or has not.
    #[error(
        "Kafka has not acknowledged the request, so the outcome is unknown. Repeat it with the same Idempotency-Key."
    )]
    NotAcknowledged,
}

/// What is said about a request that Kafka has.
pub struct Answers<M> {
    /// Its id.
    request: String,
    waiting: Waiting<M>,
}

impl<M> Clone for Requests<M> {
    fn clone(&self) -> Self {
        Self { producer: self.producer.clone(), outcomes: Arc::clone(&self.outcomes) }
    }
}

impl<M: Incoming> Requests<M> {
    /// Requests of the service called `source`. Nothing can be asked before [`Self::read_outcomes`] runs.
    ///
    /// # Errors
    /// When a setting is wrong.
    pub fn new(source: &'static str, settings: &KafkaSettings) -> Result<Self, KafkaError> {
        Ok(Self { producer: Producer::new(source, settings)?, outcomes: Outcomes::new() })
    }

    /// Whether outcomes are heard.
    pub fn is_reading(&self) -> bool {
        self.outcomes.is_reading()
    }

    /// Hears outcomes until `shutdown`.
    ///
    /// # Errors
    /// When a setting is wrong. Brokers that are away are waited for.
    pub async fn read_outcomes(
        self,
        settings: KafkaSettings,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        self.outcomes.read(settings, shutdown).await
    }

    /// Publishes `message` as the request `correlation_id`, and waits for Kafka to have it, until `by`.
    ///
    /// # Errors
    /// As [`AskError`] says; the cause is logged.
    pub async fn ask(
        &self,
        message: Outgoing,
        correlation_id: Uuid,
        by: Instant,
    ) -> Result<Answers<M>, AskError> {
        if !self.is_reading() {
            return Err(AskError::NotReading);
        }
        // Before it is published: the outcome may be there sooner than the acknowledgement.
        let waiting = self.outcomes.wait_for(correlation_id);
        let published = self.producer.publish(message, &Cause::request(correlation_id), by).await;
        fail::fail_point!("gateway::published");
        match published {
            Ok(request) => Ok(Answers { request, waiting }),
            Err(error) => {
                tracing::warn!(error = database::chain(&error), "request not acknowledged");
                Err(AskError::NotAcknowledged)
            }
        }
    }
}

impl<M> Answers<M> {
    /// The message that the request itself caused.
    pub async fn first(&mut self) -> M {
        self.waiting.answer_to(&self.request).await
    }

    /// The first message about the request that `choose` takes, whatever caused it: also one that a repeat of the request led to.
    pub async fn find_map<T>(&mut self, choose: impl Fn(Event<M>) -> Option<T>) -> T {
        loop {
            if let Some(chosen) = choose(self.waiting.next().await) {
                return chosen;
            }
        }
    }
}
