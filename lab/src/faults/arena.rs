//! Where a style is tortured: servers of its own that may be taken down, its deployment, its clients and its auditor.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::Signal;
use sandbox::{Kafka, Postgres, ScratchDir, SmtpSink};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until};

use super::claims::Claims;
use super::journal::Journal;
use crate::checking::{Checker, Invariant, Violation};
use crate::driving::Api;
use crate::running::{Brokers, Deployment, FAULT_SETTINGS, Ground, Options, wait_ready};
use crate::styles::{Service, Style};

/// How long a service may take to get ready, with everything else going wrong meanwhile.
const READY_MAX: Duration = Duration::from_mins(1);
/// How often services are looked after.
const LOOK: Duration = Duration::from_millis(100);
/// How long after a process goes on its session may still look as if it had forgotten a transaction.
const THAW: Duration = Duration::from_secs(2);

/// A style and all that it stands on.
pub(super) struct Arena {
    pub(super) style: &'static Style,
    pub(super) deployment: Mutex<Deployment>,
    pub(super) postgres: Mutex<Postgres>,
    pub(super) kafka: Arc<Kafka>,
    /// Its part of the broker, in styles that have messages.
    pub(super) brokers: Option<Brokers>,
    pub(super) sink: Mutex<SmtpSink>,
    pub(super) checker: Checker,
    /// A client of the gateway ...
    pub(super) api: Api,
    /// ... and of a second instance of it, which no fault meets.
    pub(super) second: Api,
    pub(super) claims: Claims,
    pub(super) journal: Journal,
    /// When the last process went on that was stopped by a signal, or will.
    thaw: std::sync::Mutex<Instant>,
    /// PostgreSQL was started while clients were connected to the in-memory broker, and keeps the broker's end of their
    /// connections open: its clients would not notice that it is down.
    pub(super) broker_must_stay: AtomicBool,
    _directory: ScratchDir,
}

impl Arena {
    /// Starts everything.
    pub(super) async fn start(style: &'static Style, logs: Option<PathBuf>) -> anyhow::Result<Self> {
        let directory = ScratchDir::create()?;
        let (postgres, kafka) = tokio::try_join!(Postgres::start_with_standby(), Kafka::start_private())?;
        let kafka = Arc::new(kafka);
        let sink = SmtpSink::start(&directory.path().join("mail")).await?;
        if let Some(logs) = &logs {
            std::fs::create_dir_all(logs).with_context(|| format!("cannot create {}", logs.display()))?;
        }
        let ground = Ground {
            postgres: postgres.admin_url().clone(),
            kafka: Arc::clone(&kafka),
            smtp: sink.url().clone(),
            mailbox: Some(sink.mailbox().clone()),
            directory: logs.unwrap_or_else(|| directory.path().to_owned()),
        };
        let settings = FAULT_SETTINGS.map(|(name, value)| (name, value.to_owned())).to_vec();
        let options = Options { settings, ..Options::default() };
        let mut deployment = Deployment::start(style, ground, options).await?;
        let api = Api::new(deployment.gateway().clone());
        let second = api.at(deployment.start_replica(Service::Gateway).await?);
        Ok(Self {
            style,
            brokers: deployment.addresses.kafka.clone(),
            checker: Checker::new(&deployment.addresses)?,
            deployment: Mutex::new(deployment),
            postgres: Mutex::new(postgres),
            kafka,
            sink: Mutex::new(sink),
            api,
            second,
            claims: Claims::default(),
            journal: Journal::start(),
            thaw: std::sync::Mutex::new(Instant::now()),
            broker_must_stay: AtomicBool::new(false),
            _directory: directory,
        })
    }

    /// One line for reports.
    pub(super) fn describe(&self) -> String {
        let settings: Vec<String> =
            FAULT_SETTINGS.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let kafka = self.brokers.as_ref().map_or("no broker".to_owned(), |_| self.kafka.describe());
        format!("{kafka}; {}", settings.join(" "))
    }

    /// What must never be, and is.
    pub(super) async fn always(&self) -> anyhow::Result<Vec<Violation>> {
        let mut found = self.checker.always().await?;
        // A process that is stopped by a signal cannot end its transaction.
        if Instant::now() < self.thaws_at() + THAW {
            found.retain(|violation| violation.invariant != Invariant::Sessions);
        }
        Ok(found)
    }

    /// A process is stopped, and goes on `after` that.
    pub(super) fn frozen(&self, after: Duration) {
        let mut thaw = self.thaw.lock().expect("nobody panics with it");
        *thaw = (*thaw).max(Instant::now() + after);
    }

    fn thaws_at(&self) -> Instant {
        *self.thaw.lock().expect("nobody panics with it")
    }

    /// Waits until `service`, which was started, is ready.
    pub(super) async fn ready(&self, service: Service) -> anyhow::Result<()> {
        let url = self.deployment.lock().await.url(service).clone();
        wait_ready(&url, READY_MAX, || Ok(()))
            .await
            .with_context(|| format!("{} is not ready", service.name()))
    }

    /// Starts `service`, which does not run, and waits until it is ready.
    pub(super) async fn start_service(&self, service: Service) -> anyhow::Result<()> {
        self.deployment.lock().await.spawn(service, None)?;
        self.ready(service).await
    }

    /// Starts again what ends by itself, as whoever supervises processes does: a service that cannot start without its
    /// database, say, or whose client of Kafka cannot go on.
    pub(super) async fn supervise(&self) -> anyhow::Result<Infallible> {
        loop {
            let mut deployment = self.deployment.lock().await;
            for &service in self.style.services {
                if let Some(status) = deployment.ended(service) {
                    self.journal.note(&format!("{} ended by itself ({status})", service.name()));
                    deployment.spawn(service, None)?;
                }
            }
            drop(deployment);
            sleep(LOOK).await;
        }
    }

    /// Waits until everything is back and no session has an excuse.
    pub(super) async fn heal(&self) -> anyhow::Result<()> {
        let everybody_ready = async {
            for &service in self.style.services {
                self.ready(service).await?;
            }
            sleep_until(self.thaws_at() + THAW).await;
            anyhow::Ok(())
        };
        tokio::select! { outcome = everybody_ready => outcome, Err(error) = self.supervise() => Err(error) }
    }

    /// Ends the services, stopped ones included. The servers end with their owners.
    pub(super) async fn end(&self) {
        let mut deployment = self.deployment.lock().await;
        for &service in self.style.services {
            // One that is not there any more need not be ended.
            let _ = deployment.signal(service, Signal::SIGCONT);
            let _ = deployment.kill(service).await;
        }
    }
}
