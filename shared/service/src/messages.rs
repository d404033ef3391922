//! What a service that consumes and says messages has besides.

use api::gateway::PeerSettings;
use api::password::PasswordSettings;
use clap::Args;
use futures_util::future::BoxFuture;
use mail::MailSettings;
use messaging::{Consumer, Handler, KafkaSettings, Outbox};
use sqlx::migrate::Migrator;
use store::DatabaseSettings;
use web::{BrowserSettings, ClientSettings};

use crate::life::{Service, ServiceSettings};

/// Settings of a service that consumes messages.
#[derive(Clone, Debug, Args)]
#[group(skip)]
pub struct ConsumerSettings {
    /// As every service.
    #[command(flatten)]
    pub service: ServiceSettings,
    /// Its tables, with outbox and inbox among them.
    #[command(flatten)]
    pub database: DatabaseSettings,
    /// Where messages come from and go to.
    #[command(flatten)]
    pub kafka: KafkaSettings,
}

/// Settings of a service that sends emails about what it hears.
#[derive(Clone, Debug, Args)]
#[group(skip)]
pub struct NotificationSettings {
    /// As every service that consumes messages.
    #[command(flatten)]
    pub consumer: ConsumerSettings,
    /// How emails are sent.
    #[command(flatten)]
    pub mail: MailSettings,
}

/// Settings of a gateway that asks by message.
#[derive(Clone, Debug, Args)]
#[group(skip)]
pub struct GatewaySettings {
    /// As every service.
    #[command(flatten)]
    pub service: ServiceSettings,
    /// Who may call from a page.
    #[command(flatten)]
    pub browsers: BrowserSettings,
    /// How others are called.
    #[command(flatten)]
    pub client: ClientSettings,
    /// Where they are.
    #[command(flatten)]
    pub peers: PeerSettings,
    /// Where requests go to and outcomes come from.
    #[command(flatten)]
    pub kafka: KafkaSettings,
    /// How passwords are hashed, which must not travel.
    #[command(flatten)]
    pub passwords: PasswordSettings,
}

impl Service {
    /// Starts the service called `name` with the tables that `migrations` and messages need.
    ///
    /// # Errors
    /// As [`Service::start`] and [`Service::database`].
    pub fn start_with_messages(
        name: &'static str,
        settings: ConsumerSettings,
        migrations: impl IntoIterator<Item = Migrator>,
    ) -> BoxFuture<'static, anyhow::Result<(Self, Outbox)>> {
        let tables: Vec<Migrator> = migrations.into_iter().chain([messaging::migrations()]).collect();
        Box::pin(async move {
            let mut service = Self::start(name, settings.service).await?;
            let pool = service.database(name, &settings.database, &tables).await?;
            Ok((service, Outbox::new(name, pool, &settings.kafka)))
        })
    }

    /// Publishes what is in `outbox`, to the end: consumers and the server may say something until they have ended.
    pub fn publish(&mut self, outbox: &Outbox) {
        self.to_the_end(|stop| outbox.clone().relay(stop));
    }

    /// Consumes messages as the group called `name`, as long as the server serves.
    ///
    /// # Errors
    /// When a setting is wrong.
    pub fn consume<H: Handler>(
        &mut self,
        name: &'static str,
        handler: H,
        outbox: &Outbox,
    ) -> anyhow::Result<()> {
        let consumer = Consumer::new(name, handler, outbox.clone())?;
        self.while_serving(|stop| consumer.run(stop));
        Ok(())
    }
}
