//! A PostgreSQL cluster of our own: made by `initdb`, run as a child process, gone with its scratch directory.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};
use url::Url;

use crate::{
    SandboxError, free_port,
    postgres_binaries::PostgresBinaries,
    postgres_server::{SETTINGS, ServerFacts, random_password},
    run_as::RunAs,
    scratch::ScratchDir,
};

const READY_MAX: Duration = Duration::from_secs(30);
const READY_POLL: Duration = Duration::from_millis(20);
const STOP_MAX: Duration = Duration::from_secs(30);
const LAUNCHES_MAX: u32 = 3;
const LOG_LINES_SHOWN: usize = 8;

const INITDB_OPTIONS: [&str; 6] = [
    "--username=postgres",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    // The files of a new cluster need not survive a power cut; what is committed to it later is synced.
    "--no-sync",
    "--no-instructions",
];

/// Only for whom the password protects from, the users of this machine.
const REACH: [&str; 2] = ["listen_addresses=127.0.0.1", "unix_socket_directories="];

/// What a standby that is away for a while still finds on the server that it follows.
const WAL_KEPT: &str = "wal_keep_size=256MB";

/// One cluster and its server process.
#[derive(Debug)]
pub(crate) struct Cluster {
    binaries: PostgresBinaries,
    owner: RunAs,
    directory: ScratchDir,
    password: String,
    port: u16,
    /// The port of the server that it is a standby of.
    follows: Option<u16>,
    postmaster: Option<Child>,
}

impl Cluster {
    /// Creates a cluster and starts its server.
    pub(crate) async fn start() -> Result<(Self, ServerFacts), SandboxError> {
        let mut cluster = Self::create().await?;
        let facts = cluster.launch_somewhere().await?;
        Ok((cluster, facts))
    }

    /// Creates a cluster whose server does not run yet.
    pub(crate) async fn create() -> Result<Self, SandboxError> {
        let binaries = PostgresBinaries::find_or_fetch().await?;
        let owner = RunAs::unprivileged()?;
        let directory = ScratchDir::create_for(&owner)?;
        let password = random_password()?;
        let cluster = Self { binaries, owner, directory, password, port: 0, follows: None, postmaster: None };
        cluster.initdb().await?;
        Ok(cluster)
    }

    /// A copy of this cluster, whose server must not run.
    pub(crate) async fn copy(&self) -> Result<Self, SandboxError> {
        let Self { binaries, owner, password, .. } = self;
        let directory = ScratchDir::create_for(owner)?;
        let mut copy = Command::new("cp");
        copy.arg("-Rp").arg(self.data()).arg(directory.path()).stdin(Stdio::null());
        owner.apply(&mut copy);
        let copied = copy.status().await.map_err(SandboxError::io("copy a cluster"))?;
        if !copied.success() {
            return Err(SandboxError::io("copy a cluster")(io::Error::other(copied.to_string())));
        }
        Ok(Self {
            binaries: binaries.clone(),
            owner: owner.clone(),
            directory,
            password: password.clone(),
            port: 0,
            follows: None,
            postmaster: None,
        })
    }

    /// Makes it a standby of the server at `port`, from its next start on.
    pub(crate) fn follow(&mut self, port: u16) -> Result<(), SandboxError> {
        let signal = self.data().join("standby.signal");
        File::create(&signal)
            .and_then(|_| self.owner.own(&signal))
            .map_err(SandboxError::io("make a server a standby"))?;
        self.follows = Some(port);
        Ok(())
    }

    /// Its server was promoted, and follows nobody any more.
    pub(crate) fn promoted(&mut self) {
        self.follows = None;
    }

    /// Where its server listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Starts the server for the first time, on a port that is free.
    pub(crate) async fn launch_somewhere(&mut self) -> Result<ServerFacts, SandboxError> {
        let mut launches = 0;
        loop {
            // Another sandbox may take the port between our look at it and the server's: then the server ends at
            // once, and another port is as good.
            self.port = free_port()?;
            launches += 1;
            match self.launch().await {
                Err(SandboxError::PostgresExited { .. }) if launches < LAUNCHES_MAX => {}
                outcome => return outcome,
            }
        }
    }

    /// The superuser's address. TLS is switched off in it so that `PGSSLMODE` in the environment cannot ask for it.
    pub(crate) fn admin_url(&self) -> Url {
        let Self { password, port, .. } = self;
        Url::parse(&format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres?sslmode=disable"))
            .expect("hexadecimal digits and a number leave the URL valid")
    }

    /// The server's main process, while it runs.
    pub(crate) fn process_id(&self) -> Option<u32> {
        self.postmaster.as_ref()?.id()
    }

    /// The scratch directory; the server's log is in it.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Starts the server and waits until it takes connections.
    pub(crate) async fn launch(&mut self) -> Result<ServerFacts, SandboxError> {
        let spawned = self.spawn_postmaster().map_err(SandboxError::io("start PostgreSQL"))?;
        let (url, log) = (self.admin_url(), self.log());
        let postmaster = self.postmaster.insert(spawned);
        let deadline = Instant::now() + READY_MAX;
        loop {
            // The password proves that it is our server that answers on this port.
            let attempt = ServerFacts::read(&url, deadline).await;
            let ended = postmaster.try_wait().map_err(SandboxError::io("watch PostgreSQL"))?.is_some();
            match attempt {
                Ok(facts) => return Ok(facts),
                Err(_) if ended => {
                    return Err(SandboxError::PostgresExited { log: last_lines(&log) });
                }
                Err(_) if Instant::now() < deadline => sleep(READY_POLL).await,
                Err(source) => {
                    return Err(SandboxError::Unreachable { server: "PostgreSQL", source });
                }
            }
        }
    }

    /// Stops the server, keeping its data: `SIGINT` disconnects everybody and writes everything out, `SIGQUIT` ends
    /// at once like a crash. Does nothing if it is not running.
    pub(crate) async fn shut_down(&mut self, signal: Signal) -> Result<(), SandboxError> {
        let Some(postmaster) = &mut self.postmaster else {
            return Ok(());
        };
        // There is no id once the child has been waited for, so no other process can be hit.
        if let Some(pid) = postmaster.id().and_then(|id| i32::try_from(id).ok()) {
            kill(Pid::from_raw(pid), signal)
                .map_err(|errno| SandboxError::io("stop PostgreSQL")(errno.into()))?;
        }
        match timeout(STOP_MAX, postmaster.wait()).await {
            Err(_) => {
                return Err(SandboxError::StillRunning { seconds: STOP_MAX.as_secs() });
            }
            Ok(waited) => waited.map_err(SandboxError::io("wait for PostgreSQL to end"))?,
        };
        self.postmaster = None;
        Ok(())
    }

    /// Starts the server again; one that still runs is shut down first.
    pub(crate) async fn restart(&mut self) -> Result<ServerFacts, SandboxError> {
        self.shut_down(Signal::SIGINT).await?;
        self.launch().await
    }

    /// Stops the server and removes the cluster.
    pub(crate) async fn remove(mut self) -> Result<(), SandboxError> {
        let stopped = self.shut_down(Signal::SIGINT).await;
        self.directory.remove().await.and(stopped)
    }

    async fn initdb(&self) -> Result<(), SandboxError> {
        let pwfile = self.directory().join("pwfile");
        write_private(&pwfile, &self.password)
            .and_then(|()| self.owner.own(&pwfile))
            .map_err(SandboxError::io("write the password file"))?;
        let mut command = self.command("initdb");
        command.args(INITDB_OPTIONS).arg("-D").arg(self.data()).arg("--pwfile").arg(&pwfile);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let initdb = self.spawn(&mut command).map_err(SandboxError::io("start initdb"))?;
        let output = initdb.wait_with_output().await.map_err(SandboxError::io("wait for initdb to end"))?;
        let _ = fs::remove_file(pwfile);
        if output.status.success() {
            return Ok(());
        }
        Err(SandboxError::Initdb { output: tail(&String::from_utf8_lossy(&output.stderr)) })
    }

    fn spawn_postmaster(&self) -> io::Result<Child> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).arg("-p").arg(self.port.to_string());
        let preload = self
            .binaries
            .has_library("pg_stat_statements")
            .then_some("shared_preload_libraries=pg_stat_statements");
        for setting in REACH.into_iter().chain(SETTINGS).chain([WAL_KEPT]).chain(preload) {
            command.args(["-c", setting]);
        }
        if let Some(port) = self.follows {
            let primary =
                format!("primary_conninfo=host=127.0.0.1 port={port} user=postgres sslmode=disable");
            // The password not among the arguments, which other users can see.
            command.args(["-c", &primary]).env("PGPASSWORD", &self.password);
        }
        command.stdout(log.try_clone()?).stderr(log);
        self.spawn(&mut command)
    }

    /// Spawns it into a group of its own, because Ctrl-C in the terminal must not reach it: it is stopped in order,
    /// or by the watchdog.
    fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let child = command.stdin(Stdio::null()).process_group(0).spawn()?;
        self.directory.entrust(&child)?;
        Ok(child)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.binaries.program(program));
        // A known time zone spares initdb the search for one, a known locale keeps its messages readable for all.
        command.current_dir(self.directory()).env("TZ", "UTC").env("LC_ALL", "C");
        self.owner.apply(&mut command);
        command
    }

    fn data(&self) -> PathBuf {
        self.directory().join("data")
    }

    fn log(&self) -> PathBuf {
        self.directory().join("postgres.log")
    }
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    File::options().create_new(true).write(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}

fn last_lines(file: &Path) -> String {
    fs::read(file).map_or_else(|error| error.to_string(), |bytes| tail(&String::from_utf8_lossy(&bytes)))
}

fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
}
