//! A producer for as long as its owner lives. One that keeps order and doubles nothing (an idempotent one) ends for good once it
//! has lost track of what the broker has; librdkafka calls that a fatal error. Then the next message gets a new one.

use std::sync::{Mutex, PoisonError};

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::{FutureProducer, Producer as _};

use crate::client::{Context, drop_blocking};

/// A producer, and how to make another.
pub(crate) struct RenewedProducer {
    config: ClientConfig,
    current: Mutex<FutureProducer<Context>>,
}

impl RenewedProducer {
    /// # Errors
    /// When a setting is wrong.
    pub(crate) fn new(config: ClientConfig) -> Result<Self, KafkaError> {
        let current = Mutex::new(config.create_with_context(Context::default())?);
        Ok(Self { config, current })
    }

    /// A producer that can go on. Messages that the one before it had are not sent by this one: whoever waits for them was told.
    pub(crate) fn client(&self) -> Result<FutureProducer<Context>, KafkaError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, reason)) = current.client().fatal_error() {
            tracing::warn!(reason, "a producer cannot go on, and gets a successor");
            let successor = self.config.create_with_context(Context::default())?;
            drop_blocking(std::mem::replace(&mut *current, successor));
        }
        Ok(current.clone())
    }
}
