//! Temporary directories that never outlive their process: `watchdog.sh` removes them, and stops the PostgreSQL
//! server that runs in one, or the container that is named after it.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    process::{Child, ChildStdin, Command},
    time::timeout,
};

use crate::{SandboxError, run_as::RunAs};

const WATCHDOG: &str = include_str!("watchdog.sh");

/// Longer than the watchdog takes at worst.
const REMOVAL_MAX: Duration = Duration::from_secs(20);

/// A temporary directory, readable by its owner only, that is removed when this value is dropped or its process ends,
/// however it ends.
#[derive(Debug)]
pub struct ScratchDir {
    path: PathBuf,
    watchdog: Child,
    /// The watchdog waits for the end of this pipe. The standard library creates it close-on-exec: in a child
    /// process that inherited a copy it would stay open after our end.
    lifeline: ChildStdin,
}

impl ScratchDir {
    /// Creates one that belongs to the current user. Call it inside a Tokio runtime.
    pub fn create() -> Result<Self, SandboxError> {
        Self::create_for(&RunAs::CURRENT_USER)
    }

    /// Creates one that belongs to `owner`. The watchdog stays ours: `owner` may lack the right to remove an entry
    /// of the parent directory.
    pub(crate) fn create_for(owner: &RunAs) -> Result<Self, SandboxError> {
        let directory = tempfile::Builder::new()
            .prefix("arch-homework-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()
            .map_err(SandboxError::io("create a temporary directory"))?;
        owner
            .own(directory.path())
            .map_err(SandboxError::io("give the temporary directory to an unprivileged user"))?;
        let (watchdog, lifeline) =
            spawn_watchdog(directory.path()).map_err(SandboxError::io("start the watchdog"))?;
        Ok(Self { path: directory.keep(), watchdog, lifeline })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Has the watchdog stop `process`, which must have the directory among its arguments, before it removes the
    /// directory. One process at a time: the next replaces it.
    pub(crate) fn entrust(&self, process: &Child) -> io::Result<()> {
        let pid = process.id().map_or_else(String::new, |id| id.to_string());
        fs::write(self.path.join("process.pid"), pid + "\n")
    }

    /// Removes the directory now, and waits until it is gone.
    pub async fn remove(mut self) -> Result<(), SandboxError> {
        drop(self.lifeline);
        // However this ends, what counts is that the directory is gone.
        let _ = timeout(REMOVAL_MAX, self.watchdog.wait()).await;
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(SandboxError::io(format!("remove {}", self.path.display()))(error))
            }
            _ => Ok(()),
        }
    }
}

fn spawn_watchdog(directory: &Path) -> io::Result<(Child, ChildStdin)> {
    let mut command = Command::new("sh");
    command.args(["-c", WATCHDOG, "watchdog"]).arg(directory).current_dir("/");
    // A group of its own: Ctrl-C in the terminal must not reach it. No output: it must not keep a pipe of ours open.
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut watchdog = command.spawn()?;
    let lifeline = watchdog.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    Ok((watchdog, lifeline))
}
