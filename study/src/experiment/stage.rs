//! What an experiment stands on: a style that runs on a database and with a mailbox of its own, and a client of its gateway.

use std::time::{Duration, Instant};

use lab::checking::Checker;
use lab::driving::Api;
use lab::running::{Deployment, Ground, Options};
use lab::styles::Style;
use sandbox::{Sandbox, Smtp, SmtpSink};

/// How long everything may take to come to rest.
const REST_MAX: Duration = Duration::from_mins(2);

/// A running style.
pub(crate) struct Stage {
    pub(crate) deployment: Deployment,
    /// What it is promised is checked when everything is at rest.
    pub(crate) api: Api,
    /// From the start of the processes until all are ready.
    pub(crate) ready_after: Duration,
    /// A mailbox of its own: the checker reads it whole, and thousands of others' emails would slow it down.
    _mail: Option<SmtpSink>,
}

impl Stage {
    /// Starts `style` in `sandbox`.
    pub(crate) async fn set(
        style: &'static Style,
        sandbox: &Sandbox,
        options: Options,
    ) -> anyhow::Result<Self> {
        Self::set_on(style, sandbox, Ground::of(sandbox), options).await
    }

    /// Starts `style` on `ground`, which is `sandbox` apart from what the experiment brings itself.
    pub(crate) async fn set_on(
        style: &'static Style,
        sandbox: &Sandbox,
        mut ground: Ground,
        options: Options,
    ) -> anyhow::Result<Self> {
        let mail = match &sandbox.smtp {
            Smtp::Sink(_) => {
                let name = format!("mail-{}", uuid::Uuid::new_v4().simple());
                Some(SmtpSink::start(&sandbox.directory().join(name)).await?)
            }
            Smtp::External(_) => None,
        };
        if let Some(sink) = &mail {
            ground.smtp = sink.url().clone();
            ground.mailbox = Some(sink.mailbox().clone());
        }
        let started = Instant::now();
        let deployment = Deployment::start(style, ground, options).await?;
        let api = Api::new(deployment.gateway().clone());
        Ok(Self { deployment, api, ready_after: started.elapsed(), _mail: mail })
    }

    /// Waits until everything is at rest. Says what does not hold then, one text each.
    pub(crate) async fn rest(&self) -> anyhow::Result<Vec<String>> {
        let checker = Checker::new(&self.deployment.addresses)?;
        let violations = checker.at_rest(&self.api.acknowledged(), REST_MAX).await?;
        Ok(violations.iter().map(ToString::to_string).collect())
    }
}
