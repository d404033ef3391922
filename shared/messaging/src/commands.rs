//! What is done once for a style with messages, by hand or by an installer.

use anyhow::bail;
use clap::{Args, Subcommand};

use crate::replay::{ReplaySettings, Replayed, replay_dead_letters};
use crate::settings::KafkaSettings;
use crate::topics::{Topology, create_topics};

/// What is done once: about topics and dead letters.
#[derive(Clone, Debug, Subcommand)]
pub enum TopicCommand {
    /// Creates the topics that do not exist yet. Then it ends, with an error if one that exists is not as the style needs it.
    CreateTopics(CreateSettings),
    /// Sends dead letters of a topic again: those that no earlier run has sent. Then it ends.
    ReplayDeadLetters(ReplaySettings),
}

/// Settings of creating topics.
#[derive(Clone, Debug, Args)]
#[group(skip)]
pub struct CreateSettings {
    #[command(flatten)]
    kafka: KafkaSettings,

    /// Accept topics that exist with fewer partitions or another retention. The differences are still shown.
    #[arg(long, env = "ACCEPT_TOPICS")]
    accept: bool,
}

impl TopicCommand {
    /// Does it, to the topics of `topology`, and says on standard output what was done.
    ///
    /// # Errors
    /// As [`create_topics`] and [`replay_dead_letters`]; and when topics differ from what the style needs, unless that is accepted.
    pub async fn run(self, topology: Topology) -> anyhow::Result<()> {
        match self {
            Self::CreateTopics(CreateSettings { kafka, accept }) => {
                let differences = create_topics(&kafka, &topology).await?;
                for difference in &differences {
                    println!("{difference}");
                }
                if !accept && !differences.is_empty() {
                    bail!(
                        "{} differences: change the topics, or accept them with --accept",
                        differences.len()
                    );
                }
                Ok(())
            }
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
