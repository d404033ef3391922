//! What every case stands on: a sandbox for the whole run, a fresh deployment for each case, and the checker at its end.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, bail};
use libtest_mimic::{Arguments, Conclusion, Failed, Trial};
use sandbox::{Postgres, ScratchDir, Smtp};
use study::deployment::Ground;
use study::{Api, Checker, Deployment, Options, STYLES, Service, Style};
use tokio::runtime::Runtime;

/// How long a system may take to come to rest at the end of a case.
const REST_MAX: Duration = Duration::from_secs(30);

/// Settings of every deployment under test: what takes seconds in production takes fractions here.
pub const TEST_SETTINGS: [(&str, &str); 5] = [
    ("RECOVERY_AFTER_MS", "1000"),
    ("RECOVERY_POLL_MS", "100"),
    ("SMTP_CONNECT_TIMEOUT_MS", "200"),
    ("SMTP_COMMAND_TIMEOUT_MS", "200"),
    ("MAIL_LEASE_MS", "1000"),
];

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
    /// A client of its gateway; what it is promised is checked at the end.
    pub api: Api,
    /// Its SMTP server.
    pub smtp: Smtp,
    /// Its auditor.
    pub checker: Arc<Checker>,
}

impl Stage {
    async fn set(style: &'static Style, settings: &[(&'static str, &str)]) -> anyhow::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let World { postgres, directory, .. } = world();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = directory.path().join(number.to_string());
        std::fs::create_dir(&directory)?;
        let smtp = Smtp::start(&directory.join("mail")).await?;
        let ground = Ground {
            postgres: postgres.admin_url().clone(),
            smtp: smtp.url().clone(),
            mailbox: smtp.mailbox().cloned(),
            directory,
        };
        let settings =
            TEST_SETTINGS.iter().chain(settings).map(|&(name, value)| (name, value.to_owned())).collect();
        let deployment = Deployment::start(style, ground, Options { settings, ..Options::default() }).await?;
        let api = Api::new(deployment.gateway().clone());
        let checker = Arc::new(Checker::new(&deployment.addresses)?);
        Ok(Self { style, deployment, api, smtp, checker })
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
    pub fn database_as_admin(&self) -> reqwest::Url {
        let mut url = world().postgres.admin_url().clone();
        url.set_path(self.deployment.addresses.auditor.path());
        url
    }

    /// What the checker finds right now, by the numbers of the invariants.
    pub async fn violated_now(&self) -> anyhow::Result<Vec<u8>> {
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
        let read = |service| std::fs::read_to_string(self.deployment.log(service));
        Ok(Service::ALL.into_iter().map(read).collect::<Result<Vec<_>, _>>()?.join("\n"))
    }
}

/// The cases of all suites.
#[derive(Default)]
pub struct Suite {
    trials: Vec<Trial>,
}

impl Suite {
    /// Registers `body` under `style::suite::name`, once for every style, on a deployment with `settings`.
    pub fn case(
        &mut self,
        suite: &str,
        name: &str,
        settings: &'static [(&'static str, &'static str)],
        body: Body,
    ) {
        for style in STYLES {
            let name = format!("{}::{suite}::{name}", style.name);
            self.trial(name, async move || on_stage(style, settings, async |stage| body(stage).await).await);
        }
    }

    /// Registers `body` for one style.
    pub fn staged(
        &mut self,
        name: String,
        style: &'static Style,
        body: impl AsyncFnOnce(&mut Stage) -> Outcome + Send + 'static,
    ) {
        self.trial(name, async move || on_stage(style, &[], body).await);
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
    settings: &[(&'static str, &str)],
    body: impl AsyncFnOnce(&mut Stage) -> Outcome,
) -> Outcome {
    let mut stage = Stage::set(style, settings).await?;
    let outcome = match body(&mut stage).await {
        Ok(()) => stage.check_at_rest().await,
        failed => failed,
    };
    let logs = stage.logs().unwrap_or_default();
    stage.deployment.stop().await?;
    outcome.with_context(|| format!("the last log lines:\n{}", tail(&logs)))
}

/// Registers functions as cases under their own names.
macro_rules! cases {
    ($suite:ident, $name:literal, [$($(#[settings($settings:expr)])? $case:ident),* $(,)?]) => {$(
        #[allow(unused_mut, unused_assignments)]
        {
            let mut settings: &'static [(&'static str, &'static str)] = &[];
            $(settings = $settings;)?
            $suite.case($name, stringify!($case), settings, |stage| Box::pin($case(stage)));
        }
    )*};
}
pub(crate) use cases;

/// What all cases share.
struct World {
    _runtime: Runtime,
    postgres: Postgres,
    directory: ScratchDir,
}

static WORLD: OnceLock<World> = OnceLock::new();

/// Starts the sandbox when the first case needs it.
fn world() -> &'static World {
    WORLD.get_or_init(|| {
        // A runtime and a thread of its own: cases come and go, each with its runtime.
        std::thread::spawn(|| {
            let runtime = Runtime::new().expect("a runtime");
            let (postgres, directory) = runtime
                .block_on(async { anyhow::Ok((Postgres::start().await?, ScratchDir::create()?)) })
                .expect("the sandbox starts");
            World { _runtime: runtime, postgres, directory }
        })
        .join()
        .expect("the sandbox starts")
    })
}

fn tail(logs: &str) -> String {
    let lines: Vec<&str> = logs.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

/// The root of the workspace.
pub fn workspace_root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or(here.clone(), ToOwned::to_owned)
}
