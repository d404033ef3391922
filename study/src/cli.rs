//! The command line: what there is to do, and what the exit code means.
//!
//! 0: as expected. 1: something was found that is not. 2: it could not start; one line says why and what to do.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand};
use sandbox::SandboxError;

use crate::compare;
use crate::serve::serve;
use crate::styles::{STYLES, Served, Style};
use crate::up::{self, CannotStart};

/// One order, told in several styles: brings them up, compares them, checks them.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one, and it is used once")]
enum Command {
    /// Runs the scenario over all styles and shows what it costs (the default).
    Compare,
    /// Brings a style up on the sandbox and stays, until Ctrl-C.
    Up {
        /// Which style.
        #[arg(value_parser = style_names())]
        style: String,
        /// Where the gateway listens.
        #[arg(long, default_value = "127.0.0.1:8080")]
        listen: SocketAddr,
    },
    /// Checks the invariants of a running `up`: nothing lost, nothing twice, every account right.
    Check {
        /// The file with its addresses, if several are running.
        #[arg(long)]
        addresses: Option<PathBuf>,
    },
    /// Hosts one service (what `up` uses).
    Serve {
        /// Which style.
        #[command(subcommand)]
        style: Served,
    },
}

fn style_names() -> PossibleValuesParser {
    PossibleValuesParser::new(STYLES.iter().map(|style| style.name))
}

/// Does what the arguments say.
pub async fn main() -> ExitCode {
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
    let outcome = match cli.command.unwrap_or(Command::Compare) {
        Command::Compare => compare::compare().await,
        Command::Up { style, listen } => {
            let style = Style::find(&style).expect("clap lets only known styles through");
            up::up(style, listen).await.map(|()| true)
        }
        Command::Check { addresses } => up::check(addresses).await,
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
