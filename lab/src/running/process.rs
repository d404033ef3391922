//! A service as a child process: real enough to be killed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::parent::END_WITH_PARENT;

/// How long a service may take to stop when asked to.
const STOP_MAX: Duration = Duration::from_secs(15);

/// How much of a log is shown with an error.
const LAST_LINES: usize = 15;

/// What a service may know of its surroundings.
const INHERITED: [&str; 4] = ["PATH", "HOME", "TMPDIR", "RUST_BACKTRACE"];

/// A running service.
pub struct ServiceProcess {
    child: Child,
    log: PathBuf,
}

impl ServiceProcess {
    /// Starts this program as `serve <style> <what>`, a service or something that is done once, with `environment` and nothing else of
    /// its settings; logs go to `log`.
    pub(super) fn start(
        style: &str,
        what: &str,
        environment: &[(&'static str, String)],
        log: &Path,
    ) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("finding this program")?;
        let lines = File::options().create(true).append(true).open(log).context("opening the log")?;
        let child = Command::new(program)
            .args(["serve", style])
            .args(what.split_whitespace())
            // What happens to be set around us must not change what is measured.
            .env_clear()
            .envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .env(END_WITH_PARENT, "1")
            .stdin(Stdio::piped())
            .stdout(lines.try_clone().context("opening the log")?)
            .stderr(lines)
            // A group of its own: Ctrl-C is for us, and we stop the services in order.
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {what}"))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// The process's id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let id = self.child.id().context("it has ended")?;
        Ok(kill(Pid::from_raw(i32::try_from(id)?), signal)?)
    }

    /// `kill -9`, and waits until it is gone.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        // There is nothing to kill about one that has ended by itself.
        if self.ended().is_none() {
            self.child.kill().await?;
        }
        Ok(())
    }

    /// Waits until it ends by itself, without an error.
    pub async fn succeed(mut self, what: &str, longest: Duration) -> anyhow::Result<()> {
        let status = self.wait(longest).await?;
        if !status.success() {
            bail!("{what} ended with {status}:\n{}", self.last_words());
        }
        Ok(())
    }

    /// Waits until it ends by itself.
    pub async fn wait(&mut self, longest: Duration) -> anyhow::Result<ExitStatus> {
        timeout(longest, self.child.wait_keeping_stdin()).await.context("it did not end")?
    }

    /// Asks it to stop and waits; kills it if it does not.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        if self.ended().is_some() {
            return Ok(());
        }
        self.signal(Signal::SIGTERM)?;
        match self.wait(STOP_MAX).await {
            Ok(_) => Ok(()),
            Err(_) => self.kill().await,
        }
    }

    /// The last lines it logged.
    pub fn last_words(&self) -> String {
        last_lines(&self.log)
    }
}

/// The last lines of a log; none if it cannot be read.
pub(super) fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

/// `Child::wait` closes standard input first, which would end the service; waiting must not.
trait WaitKeepingStdin {
    async fn wait_keeping_stdin(&mut self) -> anyhow::Result<ExitStatus>;
}

impl WaitKeepingStdin for Child {
    async fn wait_keeping_stdin(&mut self) -> anyhow::Result<ExitStatus> {
        let stdin = self.stdin.take();
        let status = self.wait().await;
        drop(stdin);
        Ok(status?)
    }
}
