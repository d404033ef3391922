//! `serve <style> <service>`: hosts one service, so that one program can run every process of every style.

use std::process::ExitCode;

use clap::error::{Error, ErrorKind};
use clap::{ArgMatches, Command, FromArgMatches, Subcommand};
use futures_util::future::LocalBoxFuture;
use nix::sys::signal::{Signal, raise};
use tokio::runtime::Runtime;

use super::parent::{close_inherited_files, end_with_parent, ends_with_parent};
use crate::styles::{STYLES, Style};

/// `<style> <service>`, with the service's settings.
#[derive(Clone, Debug)]
pub struct Served {
    style: &'static Style,
    arguments: ArgMatches,
}

impl Subcommand for Served {
    fn augment_subcommands(command: Command) -> Command {
        let of_style = |style: &Style| {
            let named = Command::new(style.name).about(style.about);
            (style.commands)(named).subcommand_required(true).arg_required_else_help(true)
        };
        command.subcommands(STYLES.iter().map(of_style))
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        Style::find(name).is_some()
    }
}

impl FromArgMatches for Served {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let (name, arguments) =
            matches.subcommand().ok_or_else(|| Error::new(ErrorKind::MissingSubcommand))?;
        let style = Style::find(name).ok_or_else(|| Error::new(ErrorKind::InvalidSubcommand))?;
        Ok(Self { style, arguments: arguments.clone() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// What a program does that was started as `<program> serve <style> <service>`: all that it does.
///
/// `None`: it was started as something else.
pub fn host() -> Option<ExitCode> {
    let arguments: Vec<_> = std::env::args_os().collect();
    if arguments.get(1)? != "serve" {
        return None;
    }
    close_inherited_files();
    let commands = Served::augment_subcommands(Command::new("serve")).subcommand_required(true);
    let matches = commands.get_matches_from(&arguments[1..]);
    let served = Served::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let outcome = Runtime::new().expect("a runtime").block_on(serve(served));
    Some(outcome.map_or_else(
        |error| {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    ))
}

/// Runs the service until it is told to stop, or until its parent is gone.
///
/// # Errors
/// When the service cannot start.
pub fn serve(served: Served) -> LocalBoxFuture<'static, anyhow::Result<()>> {
    Box::pin(async move {
        if ends_with_parent() {
            end_with_parent();
        }
        // Crash points: `FAILPOINTS=order::pending=panic` makes the process die there as if by `kill -9`.
        let crash_points = fail::FailScenario::setup();
        die_at_crash_points();
        let outcome = (served.style.run)(&served.arguments)?.await;
        crash_points.teardown();
        outcome
    })
}

/// A panic would only end one task: unwinding runs destructors, and the rest of the process answers on. A crash does neither.
fn die_at_crash_points() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let message = panic.payload_as_str().unwrap_or_default();
        if message.starts_with("failpoint ") {
            let _ = raise(Signal::SIGKILL);
        }
        usual(panic);
    }));
}
