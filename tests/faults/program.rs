//! The program itself: `up`, `check`, its exit codes, and what it leaves behind.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use lab::eventually;
use lab::running::Addresses;
use lab::{Api, STYLES, Style};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::StatusCode;
use sandbox::ScratchDir;
use sqlx::{Connection as _, PgConnection};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::harness::{Outcome, Suite};

const SOON: Duration = Duration::from_secs(30);
/// How long a sandbox may take to come up: many at a time may each start an Apache Kafka of their own.
const UP_MAX: Duration = Duration::from_mins(3);

pub fn register(suite: &mut Suite) {
    for style in STYLES {
        let name = style.name;
        suite.of_style(
            style,
            format!("{name}::program::up_says_ready_once_and_check_finds_it"),
            async move || up_and_check(style).await,
        );
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
            suite.of_style(
                style,
                format!("{name}::program::up_leaves_nothing_behind_after_{signal}"),
                async move || leaves_nothing_behind(style, signal).await,
            );
        }
    }
    suite.trial("program::what_it_cannot_start_it_says_in_one_line".to_owned(), one_line_and_exit_code_2);
    suite.trial(
        "program::without_postgresql_and_offline_it_says_what_to_do_and_why_none_was_fetched".to_owned(),
        offline,
    );
}

/// A running `up`.
struct Up {
    child: Child,
    lines: Vec<String>,
    gateway: String,
    directory: PathBuf,
}

/// The program `study`, as cargo built it: beside the directory (`deps`) of this test's own executable.
fn study(arguments: &[&str]) -> anyhow::Result<Command> {
    let ours = std::env::current_exe()?;
    let built = ours.ancestors().nth(2).context("where cargo builds")?;
    let program = built.join("study").with_extension(std::env::consts::EXE_EXTENSION);
    // `cargo test` builds it for its own tests; of this package alone it does not.
    ensure!(program.exists(), "there is no {}: cargo build --release", program.display());
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    Ok(command)
}

async fn up(style: &Style) -> anyhow::Result<Up> {
    let listen = format!("127.0.0.1:{}", sandbox::free_port()?);
    let mut child = study(&["up", style.name, "--listen", &listen])?.spawn()?;
    let mut output = BufReader::new(child.stdout.take().context("standard output")?).lines();
    let mut lines = Vec::new();
    while let Some(line) = tokio::time::timeout(UP_MAX, output.next_line()).await?? {
        lines.push(line);
        if lines.iter().any(|line| line.starts_with("ready ")) {
            break;
        }
    }
    let part = |marker: &str| {
        let found = lines.iter().find_map(|line| line.split_once(marker));
        found.map(|(_, rest)| rest.to_owned()).with_context(|| format!("no {marker:?} in {lines:?}"))
    };
    let gateway = part("ready ")?;
    ensure!(gateway == format!("http://{listen}"), "{gateway}");
    let mail = PathBuf::from(part("mail in ")?);
    let directory = mail.parent().context("the sandbox's directory")?.to_owned();
    Ok(Up { child, lines, gateway, directory })
}

async fn up_and_check(style: &'static Style) -> Outcome {
    let mut running = up(style).await?;
    ensure!(
        running.lines.iter().filter(|line| line.starts_with("ready http://")).count() == 1,
        "{:?}",
        running.lines
    );
    let api = Api::new(format!("{}/", running.gateway).parse()?).patient();
    let user = api.create_user_with(90).await?;
    ensure!(api.order(user, 90, &[]).await?.status == StatusCode::CREATED);

    let addresses = running.directory.join("addresses.json").display().to_string();
    let checked = study(&["check", "--addresses", &addresses])?.output().await?;
    let said = String::from_utf8(checked.stdout)?;
    ensure!(
        checked.status.code() == Some(0) && said.starts_with(&format!("{}: all invariants hold", style.name)),
        "{said}"
    );
    running.child.start_kill()?;
    Ok(())
}

async fn leaves_nothing_behind(style: &'static Style, signal: Signal) -> Outcome {
    let mut running = up(style).await?;
    let addresses: Addresses =
        serde_json::from_slice(&std::fs::read(running.directory.join("addresses.json"))?)?;
    let mut auditor = PgConnection::connect(addresses.auditor.as_str()).await?;
    let data: String = sqlx::query_scalar("show data_directory").fetch_one(&mut auditor).await?;
    let data = PathBuf::from(data);
    // Where `DATABASE_URL` names the server, its data is somebody else's.
    let data = data.to_string_lossy().contains("arch-homework-").then_some(data);
    auditor.close().await?;
    let id = running.child.id().context("it runs")?;
    kill(Pid::from_raw(i32::try_from(id)?), signal)?;
    let status = tokio::time::timeout(SOON, running.child.wait()).await??;
    ensure!(signal == Signal::SIGKILL || status.code() == Some(0), "{status}");

    let mut listeners: Vec<SocketAddr> = Vec::new();
    for url in addresses.services.values().chain([&addresses.auditor]) {
        listeners.extend(url.socket_addrs(|| None)?);
    }
    eventually(SOON, async || {
        ensure!(!running.directory.exists(), "{} is still there", running.directory.display());
        ensure!(!data.as_ref().is_some_and(|data| data.exists()), "{data:?} is still there");
        for address in &listeners {
            ensure!(std::net::TcpStream::connect(address).is_err(), "somebody still listens on {address}");
        }
        Ok(())
    })
    .await
}

/// Arguments, environment, and what the one line must name.
type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);

async fn one_line_and_exit_code_2() -> Outcome {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let cases: [Case<'_>; 6] = [
        (&["up", "restful", "--listen", &address], &[], "--listen"),
        (&["up", "restful", "--listen", "nonsense"], &[], "--listen"),
        (&["up", "smoke-signals"], &[], "restful"),
        (&["up", "restful", "--listen", "127.0.0.1:0"], &[("PG_BINDIR", "/nowhere")], "PG_BINDIR"),
        (
            &["up", "restful", "--listen", "127.0.0.1:0"],
            &[("DATABASE_URL", "postgres://x@127.0.0.1:9/x")],
            "DATABASE_URL",
        ),
        (&["check", "--addresses", "/nowhere/addresses.json"], &[], "/nowhere/addresses.json"),
    ];
    for (arguments, environment, hint) in cases {
        let Output { status, stderr, .. } =
            study(arguments)?.envs(environment.iter().copied()).output().await.context("running study")?;
        let said = String::from_utf8(stderr)?;
        ensure!(status.code() == Some(2), "{arguments:?}: {status}, {said}");
        ensure!(
            said.trim().lines().count() == 1 && said.contains(hint),
            "{arguments:?} {environment:?} said: {said}"
        );
    }
    Ok(())
}

/// A proxy at which nobody listens is as good as no network.
async fn offline() -> Outcome {
    let cache = ScratchDir::create()?;
    let nowhere = format!("http://127.0.0.1:{}", sandbox::free_port()?);
    let Output { status, stderr, .. } = study(&["up", "restful", "--listen", "127.0.0.1:0"])?
        .env("SANDBOX_POSTGRES", "fetched")
        .env("XDG_CACHE_HOME", cache.path())
        .env("HTTPS_PROXY", nowhere)
        .envs(["ALL_PROXY", "all_proxy", "https_proxy", "NO_PROXY", "no_proxy"].map(|name| (name, "")))
        .env_remove("DATABASE_URL")
        .env_remove("SANDBOX")
        .output()
        .await
        .context("running study")?;
    let said = String::from_utf8(stderr)?;
    ensure!(status.code() == Some(2), "{status}, {said}");
    let [fetching, error] = said.trim().lines().collect::<Vec<_>>()[..] else { bail!("it said: {said}") };
    ensure!(fetching.starts_with("fetching PostgreSQL") && fetching.contains("https://"), "{fetching}");
    for part in ["no PostgreSQL server found: install", "DATABASE_URL", "fetching https://", "failed"] {
        ensure!(error.contains(part), "{part} is not in: {error}");
    }
    let kept: Vec<_> = std::fs::read_dir(cache.path().join("arch-homework"))?.collect::<Result<_, _>>()?;
    ensure!(kept.iter().all(|it| it.path().extension().is_some_and(|it| it == "lock")), "{kept:?}");
    cache.remove().await?;
    Ok(())
}
