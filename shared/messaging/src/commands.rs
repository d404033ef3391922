//! What is done once for a style with messages, by hand or by an installer.

use clap::Subcommand;

use crate::replay::{ReplaySettings, Replayed, replay_dead_letters};
use crate::settings::KafkaSettings;
use crate::topics::{Topology, create_topics};

/// What is done once: about topics and dead letters.
#[derive(Clone, Debug, Subcommand)]
pub enum TopicCommand {
    /// Creates the topics that do not exist yet. Then it ends.
    CreateTopics(KafkaSettings),
    /// Sends dead letters of a topic again: those that no earlier run has sent. Then it ends.
    ReplayDeadLetters(ReplaySettings),
}

impl TopicCommand {
    /// Does it, to the topics of `topology`, and says on standard output what was done.
    ///
    /// # Errors
    /// As [`create_topics`] and [`replay_dead_letters`].
    pub async fn run(self, topology: Topology) -> anyhow::Result<()> {
        match self {
            Self::CreateTopics(settings) => create_topics(&settings, &topology).await,
            Self::ReplayDeadLetters(settings) => {
                let Replayed { sent, bodiless } = replay_dead_letters(&settings, &topology).await?;
                println!(
                    "{sent} dead letters were sent again; {bodiless} cannot be sent, since they were too large to be kept with their body"
                );
                Ok(())
            }
        }
    }
}
