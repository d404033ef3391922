//! What every case stands on: a sandbox for the whole run, a fresh deployment for each case, and the checker at its end.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, bail};
use lab::running::{FAULT_SETTINGS, Ground};
use lab::styles::Features;
use lab::traces::Receiver;
use lab::{Api, Checker, Deployment, Invariant, Options, STYLES, Service, Style};
use libtest_mimic::{Arguments, Conclusion, Failed, Trial};
use reqwest::Url;
use sandbox::{Kafka, Postgres, ScratchDir, Smtp};
use tokio::runtime::Runtime;

/// How long a system may take to come to rest at the end of a case.
const REST_MAX: Duration = Duration::from_secs(30);

/// A case's outcome.
pub type Outcome = anyhow::Result<()>;
/// A case's body.
pub type Body = for<'a> fn(&'a mut Stage) -> Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// A running style, for one case alone.
pub struct Stage {
    /// Which.
    pub style: &'static Style,
    /// Its processes.
    pub deployment: Deployment,
    /// A client of its gateway, a patient one; what it is promised is checked at the end.
    pub api: Api,
    /// Its SMTP server.
    pub smtp: Smtp,
    /// Its auditor.
    pub checker: Arc<Checker>,
    postgres: Url,
}

/// What is special about a stage.
#[derive(Default)]
pub struct Setting {
    /// Settings of the services, as environment variables.
    pub settings: &'static [(&'static str, &'static str)],
    /// Who receives spans.
    pub traces: Option<Url>,
    /// A broker of its own.
    pub kafka: Option<Arc<Kafka>>,
    /// A PostgreSQL server of its own, as somebody who may create databases and roles.
    pub postgres: Option<Url>,
}

impl Stage {
    async fn set(style: &'static Style, setting: Setting) -> anyhow::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let Setting { settings, traces, kafka: own_kafka, postgres: own_postgres } = setting;
        let World { postgres, kafka, directory, .. } = world();
        let postgres = own_postgres.unwrap_or_else(|| postgres.admin_url().clone());
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = directory.path().join(number.to_string());
        std::fs::create_dir(&directory)?;
        let smtp = Smtp::start(&directory.join("mail")).await?;
        let ground = Ground {
            postgres: postgres.clone(),
            kafka: own_kafka.unwrap_or_else(|| Arc::clone(kafka)),
            smtp: smtp.url().clone(),
            mailbox: smtp.mailbox().cloned(),
            directory,
        };
        let settings =
            FAULT_SETTINGS.iter().chain(settings).map(|&(name, value)| (name, value.to_owned())).collect();
        // A deployment per case, and on a real broker each partition is files.
        let options = Options { settings, partitions: Some(3), traces, ..Options::default() };
        let deployment = Deployment::start(style, ground, options).await?;
        let api = Api::new(deployment.gateway().clone()).patient();
        let checker = Arc::new(Checker::new(&deployment.addresses)?);
        Ok(Self { style, deployment, api, smtp, checker, postgres })
    }

    /// A client of a service's own API, beside the gateway.
    pub fn api_of(&self, service: Service) -> Api {
        Api::new(self.deployment.url(service).clone())
    }

    /// What a service tells of itself, in Prometheus' text format.
    pub async fn metrics(&self, service: Service) -> anyhow::Result<String> {
        let url = self.deployment.url(service).join("metrics")?;
        Ok(reqwest::get(url).await?.text().await?)
    }

    /// The deployment's database, as somebody who may do anything with it.
    pub fn database_as_admin(&self) -> Url {
        let mut url = self.postgres.clone();
        url.set_path(self.deployment.addresses.auditor.path());
        url
    }

    /// What the checker finds right now, by its invariants.
    pub async fn violated_now(&self) -> anyhow::Result<Vec<Invariant>> {
        let violations = self.checker.now(&self.api.acknowledged()).await?;
        Ok(violations.iter().map(|violation| violation.invariant).collect())
    }

    /// Waits until the system is at rest and every invariant holds.
    pub async fn check_at_rest(&self) -> Outcome {
        let violations = self.checker.at_rest(&self.api.acknowledged(), REST_MAX).await?;
        let list: Vec<String> = violations.iter().map(ToString::to_string).collect();
        anyhow::ensure!(list.is_empty(), "the checker found:\n{}", list.join("\n"));
        Ok(())
    }

    /// The sink, for cases that make it misbehave.
    pub fn sink(&mut self) -> anyhow::Result<&mut sandbox::SmtpSink> {
        match &mut self.smtp {
            Smtp::Sink(sink) => Ok(sink),
            Smtp::External(_) => bail!("needs the embedded SMTP server: unset SMTP_URL"),
        }
    }

    /// Every service's log so far.
    pub fn logs(&self) -> anyhow::Result<String> {
        let read = |&service: &Service| std::fs::read_to_string(self.deployment.log(service));
        Ok(self.style.services.iter().map(read).collect::<Result<Vec<_>, _>>()?.join("\n"))
    }
}

/// The cases of all suites.
#[derive(Default)]
pub struct Suite {
    trials: Vec<Trial>,
}

impl Suite {
    /// Registers `body` under `style::suite::name`, once for every style of which `holds` is true, on a deployment with
    /// `settings`.
    pub fn case(
        &mut self,
        suite: &str,
        name: &str,
        settings: &'static [(&'static str, &'static str)],
        holds: fn(&Features) -> bool,
        body: Body,
    ) {
        for style in STYLES.iter().filter(|style| holds(&style.features)) {
            let name = format!("{}::{suite}::{name}", style.name);
            self.trial(name, async move || {
                let setting = Setting { settings, ..Setting::default() };
                on_stage(style, setting, async |stage| body(stage).await).await
            });
        }
    }

    /// Registers `body` as [`case`](Self::case) does; what it leaves behind is broken on purpose, and not checked.
    pub fn broken_case(&mut self, suite: &str, name: &str, holds: fn(&Features) -> bool, body: Body) {
        for style in STYLES.iter().filter(|style| holds(&style.features)) {
            self.trial(format!("{}::{suite}::{name}", style.name), async move || {
                let mut stage = Stage::set(style, Setting::default()).await?;
                let outcome = body(&mut stage).await;
                stage.deployment.stop().await?;
                outcome
            });
        }
    }

    /// Registers `body` as [`case`](Self::case) does, on deployments whose spans it receives.
    pub fn traced(
        &mut self,
        suite: &str,
        name: &str,
        body: impl AsyncFnOnce(&mut Stage, &Receiver) -> Outcome + Copy + Send + 'static,
    ) {
        for style in STYLES {
            self.trial(format!("{}::{suite}::{name}", style.name), async move || {
                let receiver = Receiver::start().await?;
                let traces = Some(receiver.endpoint().clone());
                let setting = Setting { traces, ..Setting::default() };
                on_stage(style, setting, async |stage| body(stage, &receiver).await).await
            });
        }
    }

    /// Registers `body` for every style with messages, on a broker that it may take down.
    pub fn on_own_broker(
        &mut self,
        suite: &str,
        name: &str,
        body: impl AsyncFnOnce(&mut Stage, &Kafka) -> Outcome + Copy + Send + 'static,
    ) {
        for style in STYLES.iter().filter(|style| style.features.has_messages()) {
            self.trial(format!("{}::{suite}::{name}", style.name), async move || {
                let kafka = Arc::new(Kafka::start_private().await?);
                let setting = Setting { kafka: Some(Arc::clone(&kafka)), ..Setting::default() };
                on_stage(style, setting, async |stage| body(stage, &kafka).await).await
            });
        }
    }

    /// Registers `body` for every style, on a PostgreSQL server that it may take down.
    pub fn on_own_postgres(
        &mut self,
        suite: &str,
        name: &str,
        body: impl AsyncFnOnce(&mut Stage, &mut Postgres) -> Outcome + Copy + Send + 'static,
    ) {
        for style in STYLES {
            self.trial(format!("{}::{suite}::{name}", style.name), async move || {
                let mut postgres = Postgres::start_private().await?;
                let admin = postgres.admin_url().clone();
                let setting = Setting { postgres: Some(admin), ..Setting::default() };
                on_stage(style, setting, async |stage| body(stage, &mut postgres).await).await?;
                Ok(postgres.stop().await?)
            });
        }
    }

    /// Registers `body` for one style.
    pub fn staged(
        &mut self,
        name: String,
        style: &'static Style,
        body: impl AsyncFnOnce(&mut Stage) -> Outcome + Send + 'static,
    ) {
        self.trial(name, async move || on_stage(style, Setting::default(), body).await);
    }

    /// Registers something that needs no deployment, or one of its own.
    pub fn trial(&mut self, name: String, body: impl AsyncFnOnce() -> Outcome + Send + 'static) {
        self.trials.push(Trial::test(name, move || {
            let runtime = Runtime::new()?;
            runtime.block_on(body()).map_err(|error| Failed::from(format!("{error:?}")))
        }));
    }

    /// Runs what `arguments` select. The sandbox ends with the process, by its watchdogs.
    pub fn run(self, arguments: &Arguments) -> Conclusion {
        libtest_mimic::run(arguments, self.trials)
    }
}

/// Sets the stage, plays `body`, and has the checker look at what is left.
async fn on_stage(
    style: &'static Style,
    setting: Setting,
    body: impl AsyncFnOnce(&mut Stage) -> Outcome,
) -> Outcome {
    let mut stage = Stage::set(style, setting).await?;
    let outcome = match body(&mut stage).await {
        Ok(()) => stage.check_at_rest().await,
        failed => failed,
    };
    let last_words = stage.deployment.last_words();
    let stopped = stage.deployment.stop().await;
    // What went wrong first comes first: it may be why the rest cannot be stopped.
    outcome.with_context(|| format!("the last log lines:\n{last_words}"))?;
    stopped
}

/// Registers functions as cases under their own names, for the styles of which the condition holds.
macro_rules! cases {
    ($suite:ident, $name:literal, [$($cases:tt)*]) => {
        $crate::harness::cases!($suite, $name, where |_| true, [$($cases)*])
    };
    ($suite:ident, $name:literal, where $holds:expr,
     [$($(#[settings($settings:expr)])? $case:ident),* $(,)?]) => {$(
        #[allow(unused_mut, unused_assignments)]
        {
            let mut settings: &'static [(&'static str, &'static str)] = &[];
            $(settings = $settings;)?
            $suite.case($name, stringify!($case), settings, $holds, |stage| Box::pin($case(stage)));
        }
    )*};
}
pub(crate) use cases;

/// As `cases!`, for systems that are broken on purpose.
macro_rules! broken_cases {
    ($suite:ident, $name:literal, where $holds:expr, [$($case:ident),* $(,)?]) => {$(
        $suite.broken_case($name, stringify!($case), $holds, |stage| Box::pin($case(stage)));
    )*};
}
pub(crate) use broken_cases;

/// What all cases share.
struct World {
    _runtime: Runtime,
    postgres: Postgres,
    kafka: Arc<Kafka>,
    directory: ScratchDir,
}

static WORLD: OnceLock<World> = OnceLock::new();

/// Starts the sandbox when the first case needs it.
fn world() -> &'static World {
    WORLD.get_or_init(|| {
        // A runtime and a thread of its own: cases come and go, each with its runtime.
        std::thread::spawn(|| {
            let runtime = Runtime::new().expect("a runtime");
            let (postgres, kafka, directory) = runtime
                .block_on(async {
                    let (postgres, kafka) = tokio::try_join!(Postgres::start(), Kafka::start())?;
                    anyhow::Ok((postgres, Arc::new(kafka), ScratchDir::create()?))
                })
                .expect("the sandbox starts");
            World { _runtime: runtime, postgres, kafka, directory }
        })
        .join()
        .expect("the sandbox starts")
    })
}

/// The root of the workspace.
pub fn workspace_root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or(here.clone(), ToOwned::to_owned)
}
