//! What every case stands on: a sandbox for the whole run, a deployment that no other case has at the same time, and the checker
//! at its end.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
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

use crate::shelf::Shelf;

/// How long a system may take to come to rest at the end of a case.
const REST_MAX: Duration = Duration::from_secs(30);

/// Stands in front of the names of cases for which one broker is as good as another. CI leaves them out on Apache Kafka.
const NO_BROKER: &str = "no broker";

/// A case's outcome.
pub type Outcome = anyhow::Result<()>;
/// A case's body.
pub type Body = for<'a> fn(&'a mut Stage) -> Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// A running style, for one case at a time.
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
            self.of_style(style, name, async move || {
                let setting = Setting { settings, ..Setting::default() };
                on_stage(style, setting, async |stage| body(stage).await).await
            });
        }
    }

    /// Registers `body` as [`case`](Self::case) does; what it leaves behind is broken on purpose, and not checked.
    pub fn broken_case(&mut self, suite: &str, name: &str, holds: fn(&Features) -> bool, body: Body) {
        for style in STYLES.iter().filter(|style| holds(&style.features)) {
            self.of_style(style, format!("{}::{suite}::{name}", style.name), async move || {
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
            self.of_style(style, format!("{}::{suite}::{name}", style.name), async move || {
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
            self.of_style(style, format!("{}::{suite}::{name}", style.name), async move || {
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
        self.on_postgres(suite, name, async || Ok(Postgres::start_private().await?), body);
    }

    /// As [`on_own_postgres`](Self::on_own_postgres), on a server that has a standby and may be switched over to it.
    pub fn on_postgres_with_standby(
        &mut self,
        suite: &str,
        name: &str,
        body: impl AsyncFnOnce(&mut Stage, &mut Postgres) -> Outcome + Copy + Send + 'static,
    ) {
        self.on_postgres(suite, name, async || Ok(Postgres::start_with_standby().await?), body);
    }

    fn on_postgres(
        &mut self,
        suite: &str,
        name: &str,
        start: impl AsyncFnOnce() -> anyhow::Result<Postgres> + Copy + Send + 'static,
        body: impl AsyncFnOnce(&mut Stage, &mut Postgres) -> Outcome + Copy + Send + 'static,
    ) {
        for style in STYLES {
            self.of_style(style, format!("{}::{suite}::{name}", style.name), async move || {
                let mut postgres = start().await?;
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
        self.of_style(style, name, async move || on_stage(style, Setting::default(), body).await);
    }

    /// Registers `body` for one style, on a stage that others like it may have used before, and will use after it: it asks about
    /// nothing but its own users, orders and keys, and leaves every service running as it was.
    pub fn on_used_stage(
        &mut self,
        name: String,
        style: &'static Style,
        body: impl AsyncFnOnce(&mut Stage) -> Outcome + Send + 'static,
    ) {
        let shelf = &SHELVES[style.name];
        shelf.expect_user();
        self.add(Some(style), name, move || {
            let mut used = shelf.take().map_or_else(|| UsedStage::set(style), Ok)?;
            let outcome = used.runtime.block_on(play(&mut used.stage, body));
            let leftover = if outcome.is_ok() { shelf.leave(used) } else { Some(used) };
            leftover.map_or(Ok(()), |used| used.strike(outcome))
        });
    }

    /// Registers something about a style that needs no deployment, or one of its own.
    pub fn of_style(
        &mut self,
        style: &'static Style,
        name: String,
        body: impl AsyncFnOnce() -> Outcome + Send + 'static,
    ) {
        self.add(Some(style), name, move || Runtime::new()?.block_on(body()));
    }

    /// Registers something about no style in particular.
    pub fn trial(&mut self, name: String, body: impl AsyncFnOnce() -> Outcome + Send + 'static) {
        self.add(None, name, move || Runtime::new()?.block_on(body()));
    }

    fn add(&mut self, style: Option<&Style>, name: String, body: impl FnOnce() -> Outcome + Send + 'static) {
        let trial = Trial::test(name, move || body().map_err(|error| Failed::from(format!("{error:?}"))));
        let kind = style.filter(|style| !has_broker(style)).map_or("", |_| NO_BROKER);
        self.trials.push(trial.with_kind(kind));
    }

    /// Runs what `arguments` select. The sandbox ends with the process, by its watchdogs.
    pub fn run(self, arguments: &Arguments) -> Conclusion {
        let mut conclusion = libtest_mimic::run(arguments, self.trials);
        // Where cases were not selected, stages wait for them to the end.
        for used in SHELVES.values().flat_map(Shelf::clear) {
            if let Err(error) = used.strike(Ok(())) {
                eprintln!("a stage that was used by many cases: {error:?}");
                conclusion.num_failed += 1;
            }
        }
        conclusion
    }
}

/// Whether services of `style` speak to a broker: a deployment has topics, or none.
fn has_broker(style: &Style) -> bool {
    let topology = (style.topology)();
    !topology.kept.is_empty() || !topology.passing.is_empty()
}

/// Stages between two cases, by style.
static SHELVES: LazyLock<BTreeMap<&'static str, Shelf<UsedStage>>> =
    LazyLock::new(|| STYLES.iter().map(|style| (style.name, Shelf::new())).collect());

/// A stage for more than one case, with the runtime to which its processes and connections belong.
struct UsedStage {
    stage: Stage,
    runtime: Runtime,
}

impl UsedStage {
    fn set(style: &'static Style) -> anyhow::Result<Self> {
        let runtime = Runtime::new()?;
        let stage = runtime.block_on(Stage::set(style, Setting::default()))?;
        Ok(Self { stage, runtime })
    }

    fn strike(self, outcome: Outcome) -> Outcome {
        let Self { runtime, stage } = self;
        runtime.block_on(strike(stage, outcome))
    }
}

/// Sets the stage for `body` alone.
async fn on_stage(
    style: &'static Style,
    setting: Setting,
    body: impl AsyncFnOnce(&mut Stage) -> Outcome,
) -> Outcome {
    let mut stage = Stage::set(style, setting).await?;
    let outcome = play(&mut stage, body).await;
    strike(stage, outcome).await
}

/// Plays `body`, and has the checker look at what is left.
async fn play(stage: &mut Stage, body: impl AsyncFnOnce(&mut Stage) -> Outcome) -> Outcome {
    body(stage).await?;
    stage.check_at_rest().await
}

/// Takes the stage down after what came of it.
async fn strike(stage: Stage, outcome: Outcome) -> Outcome {
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
