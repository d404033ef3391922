//! `study up <style>`: a running style to play with, and the file by which `study check` finds it.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::future::LocalBoxFuture;
use sandbox::Sandbox;
use tokio::signal::unix::{SignalKind, signal};

use crate::checking::Checker;
use crate::driving::Acknowledged;
use crate::running::{Addresses, CannotStart, Deployment, Ground, Options};
use crate::styles::Style;

/// In the sandbox's directory, which a watchdog removes with the sandbox: a file that is there belongs to one that runs.
const ADDRESSES_FILE: &str = "addresses.json";
/// How long `check` waits for the system to come to rest.
const REST_MAX: Duration = Duration::from_mins(1);

/// Starts the sandbox and `style`, says `ready http://...`, and stays until Ctrl-C or SIGTERM.
pub fn up(style: &'static Style, listen: SocketAddr) -> LocalBoxFuture<'static, anyhow::Result<()>> {
    Box::pin(async move {
        // Before anything slow is started. Between here and the gateway's own bind somebody may still take it; then the
        // gateway's error says so.
        if let Err(error) = TcpListener::bind(listen) {
            let advice = "stop what uses it or choose another address with --listen";
            return Err(CannotStart(format!("cannot listen on {listen}: {error}; {advice}")).into());
        }
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let starting = start(style, listen);
        let (sandbox, deployment) = tokio::select! {
            started = starting => started?,
            // What was started so far ends with this process.
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        };
        println!(
            "sandbox {}, {}, mail in {}",
            sandbox.postgres.describe(),
            sandbox.kafka.describe(),
            sandbox.directory().join("mail").display()
        );
        println!("API documentation {}api-docs", deployment.gateway());
        println!("ready {}", deployment.gateway().as_str().trim_end_matches('/'));
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        eprintln!("stopping");
        deployment.stop().await?;
        sandbox.stop().await?;
        Ok(())
    })
}

async fn start(style: &'static Style, listen: SocketAddr) -> anyhow::Result<(Sandbox, Deployment)> {
    let sandbox = Sandbox::start().await?;
    // What an SMTP server at `SMTP_URL` speaks.
    let smtp_utf8 = std::env::var("SMTP_UTF8").ok().map(|speaks| ("SMTP_UTF8", speaks));
    let options =
        Options { listen: Some(listen), settings: smtp_utf8.into_iter().collect(), ..Options::default() };
    let deployment = Deployment::start(style, Ground::of(&sandbox), options).await?;
    // Written aside and renamed, so that nobody reads half of it.
    let file = sandbox.directory().join(ADDRESSES_FILE);
    let aside = file.with_extension("part");
    std::fs::write(&aside, serde_json::to_vec_pretty(&deployment.addresses)?)?;
    std::fs::rename(&aside, &file)?;
    Ok((sandbox, deployment))
}

/// Checks the running `up`. `false`: an invariant is violated.
pub fn check(addresses: Option<PathBuf>) -> LocalBoxFuture<'static, anyhow::Result<bool>> {
    Box::pin(async move {
        let file = match addresses {
            Some(file) => file,
            None => the_one_that_runs()?,
        };
        let addresses = read(&file)?;
        let violations = Checker::new(&addresses)?.at_rest(&Acknowledged::default(), REST_MAX).await?;
        for violation in &violations {
            println!("{violation}");
        }
        let style = &addresses.style;
        match violations.len() {
            // What was promised to clients is known to those clients only.
            0 => println!("{style}: all invariants hold, as far as database, mailbox and broker tell"),
            count => println!("{style}: {count} violations"),
        }
        Ok(violations.is_empty())
    })
}

fn read(file: &Path) -> anyhow::Result<Addresses> {
    let cannot =
        |error: String| CannotStart(format!("cannot read the addresses in {}: {error}", file.display()));
    let text = std::fs::read(file).map_err(|error| cannot(error.to_string()))?;
    Ok(serde_json::from_slice(&text).map_err(|error| cannot(error.to_string()))?)
}

/// The addresses file of the only `study up` on this machine.
fn the_one_that_runs() -> anyhow::Result<PathBuf> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(std::env::temp_dir()).context("looking for a running style")?;
    for entry in entries.flatten() {
        let file = entry.path().join(ADDRESSES_FILE);
        if entry.file_name().to_string_lossy().starts_with("arch-homework-") && file.exists() {
            found.push(file);
        }
    }
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => bail!(CannotStart(
            "there is nothing to check, since no style is running: start one with `cargo run --release -- up restful`".to_owned()
        )),
        many => {
            let files: Vec<String> = many.iter().map(|file| file.display().to_string()).collect();
            let which = files.join(", ");
            bail!(CannotStart(format!(
                "{} styles are running: choose one of these files with --addresses: {which}",
                many.len()
            )))
        }
    }
}
