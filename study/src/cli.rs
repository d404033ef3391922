//! The command line: what there is to do, and what the exit code means.
//!
//! 0: as expected. 1: something was found that is not. 2: it could not start; one line says why and what to do.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand};
use futures_util::future::LocalBoxFuture;
use lab::running::{CannotStart, Served, serve};
use lab::styles::{STYLES, Style};
use lab::{faults, up};
use sandbox::SandboxError;

use crate::bench::{self, BenchSettings};
use crate::compare::{self, CompareSettings};
use crate::grade;
use crate::mistakes;
use crate::{claims, report};

/// One order, told in several styles. Brings the styles up, compares them, checks them and breaks them. Without a command it compares
/// them.
#[derive(Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    // Those of `compare`, which is what is done if nothing else is said.
    #[command(flatten)]
    compare: CompareSettings,
}

#[derive(Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one, and it is used once")]
enum Command {
    /// Runs the scenario and the experiments in every style, and shows how the styles compare (the default).
    Compare(CompareSettings),
    /// Prints the table of a saved report.
    #[command(hide = true)]
    Table {
        /// The file `report.json` of the run.
        report: PathBuf,
    },
    /// Starts a style on a sandbox of its own, and keeps it running until Ctrl-C.
    Up {
        /// The style to start.
        #[arg(value_parser = style_names())]
        style: String,
        /// The address on which the gateway listens.
        #[arg(long, default_value = "127.0.0.1:8080")]
        listen: SocketAddr,
    },
    /// Checks a style that `up` keeps running: nothing is lost, nothing is done twice, every account is right.
    Check {
        /// The file in which `up` has written its addresses. It is needed only if several styles are running.
        #[arg(long)]
        addresses: Option<PathBuf>,
    },
    /// Breaks a style at random while clients go on, and checks that nothing is lost, doubled or wrong.
    Torture {
        /// The style to break. Without it, all styles are broken, one after the other.
        #[arg(value_parser = style_names())]
        style: Option<String>,
        /// Decides which faults are made and what clients ask for. The same seed makes the same faults again. Without it, a random
        /// seed is taken and printed.
        #[arg(long)]
        seed: Option<u64>,
        /// How many faults are made in each style.
        #[arg(long, default_value_t = 25)]
        faults: usize,
        /// The directory in which the services' logs are kept. Without it, they are deleted at the end.
        #[arg(long)]
        logs: Option<PathBuf>,
    },
    /// Runs the scenario against any gateway, ours or somebody else's, and says for each step whether it held.
    Grade {
        /// The address of the gateway: `host`, `host:port` or a URL.
        address: String,
        /// The prefix of the gateway's paths, such as `/ann`.
        #[arg(long)]
        prefix: Option<String>,
    },
    /// Writes the page of a saved comparison again, without measuring anything.
    Report {
        /// The file `report.json` of the comparison.
        report: PathBuf,
        /// The directory for the page, the figures, their schema and the diagrams.
        #[arg(long, default_value = "target/study")]
        out: PathBuf,
    },
    /// Checks what teaching texts say against a saved comparison, and says where the verdict differs from the committed one.
    Claims {
        /// The file `report.json` of the comparison.
        report: PathBuf,
        /// Writes the verdicts to this file (`study/claims.md`) instead of comparing them.
        #[arg(long)]
        write: Option<PathBuf>,
    },
    /// Measures throughput alone: orders per second, their spread, and their ratio to what PostgreSQL alone can do.
    Bench {
        /// The style to measure. Without it, all styles are measured.
        #[arg(value_parser = style_names())]
        style: Option<String>,
        #[command(flatten)]
        settings: BenchSettings,
    },
    /// Makes classic mistakes on purpose, one at a time, and shows what the checker finds with each and without it.
    Mistakes {
        /// Decides what clients ask for and where the service dies. Without it, a random seed is taken and printed.
        #[arg(long)]
        seed: Option<u64>,
        /// The directory for `mistakes.json`.
        #[arg(long, default_value = "target/study")]
        out: PathBuf,
    },
    /// Runs one service of a style, with settings of your own. `up` uses this for all services.
    Serve {
        /// The style, and then the service.
        #[command(subcommand)]
        style: Served,
    },
}

fn style_names() -> PossibleValuesParser {
    PossibleValuesParser::new(STYLES.iter().map(|style| style.name))
}

/// The style of that name; all of them without one.
fn chosen(name: Option<String>) -> &'static [Style] {
    name.map_or(STYLES, |name| {
        std::slice::from_ref(Style::find(&name).expect("clap lets only known styles through"))
    })
}

/// Does what the arguments say.
///
/// Boxed, and so compiled here: whoever awaits an `async fn` compiles it anew.
pub fn main() -> LocalBoxFuture<'static, ExitCode> {
    Box::pin(run())
}

async fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // `--help` and `--version` are no errors.
        Err(message) if !message.use_stderr() => message.exit(),
        Err(error) => {
            let text = error.render().to_string();
            let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            eprintln!("{}", lines.join(" "));
            return ExitCode::from(2);
        }
    };
    let outcome = match cli.command.unwrap_or(Command::Compare(cli.compare)) {
        Command::Compare(settings) => compare::compare(settings).await,
        Command::Table { report } => compare::show(&report).map(|()| true),
        Command::Up { style, listen } => {
            let style = Style::find(&style).expect("clap lets only known styles through");
            up::up(style, listen).await.map(|()| true)
        }
        Command::Check { addresses } => up::check(addresses).await,
        Command::Grade { address, prefix } => grade::grade(&address, prefix.as_deref()).await,
        Command::Torture { style, seed, faults, logs } => {
            faults::torture(chosen(style), seed, faults, logs).await
        }
        Command::Report { report, out } => remake(&report, &out),
        Command::Claims { report, write } => check_claims(&report, write.as_deref()),
        Command::Bench { style, settings } => bench::bench(chosen(style), settings).await,
        Command::Mistakes { seed, out } => mistakes::mistakes(seed, &out).await,
        Command::Serve { style } => serve(style).await.map(|()| true),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            let cannot_start = error.is::<CannotStart>() || error.is::<SandboxError>();
            ExitCode::from(if cannot_start { 2 } else { 1 })
        }
    }
}

/// The claims are checked anew too: which they are, and how they are judged, is the program's.
fn remake(saved: &Path, out: &Path) -> anyhow::Result<bool> {
    let mut report = report::read(saved)?;
    report.claims = claims::check(&report);
    println!("{}", report::write(&report, out)?.display());
    Ok(true)
}

/// `false`: a verdict is not the committed one.
fn check_claims(saved: &Path, write: Option<&Path>) -> anyhow::Result<bool> {
    let report = report::read(saved)?;
    if let Some(path) = write {
        std::fs::write(path, claims::document(&report))
            .with_context(|| format!("writing {}", path.display()))?;
        println!("{}", path.display());
        return Ok(true);
    }
    let measured = claims::check(&report);
    print!("{}", claims::table(&measured));
    let differences = claims::differences(&measured, claims::COMMITTED);
    for difference in &differences {
        println!("{difference}");
    }
    Ok(differences.is_empty())
}
