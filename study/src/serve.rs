//! `study serve <style> <service>`: hosts one service, so that one program can run every process of every style.

use std::io::Read as _;

use nix::sys::signal::{Signal, raise};

use crate::styles::Served;

/// Set by whoever wants the service to end with it: the service then ends when its standard input does.
pub const END_WITH_PARENT: &str = "STUDY_END_WITH_PARENT";

/// Closes what a service inherited beside its standard streams. To be called before anything is opened.
///
/// librdkafka's in-memory broker does not open its connections close-on-exec, as the standard library does. A service that was
/// started while clients are connected would keep the broker's end of their connections open when the broker closes them, and
/// those clients would wait for answers that nobody gives.
pub fn close_inherited_files() {
    if std::env::var_os(END_WITH_PARENT).is_none() {
        return;
    }
    let Ok(entries) = std::fs::read_dir("/dev/fd") else { return };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let inherited: Vec<i32> = numbers.filter(|number| *number > 2).collect();
    for file in inherited {
        // The directory was among them, and is closed already.
        let _ = nix::unistd::close(file);
    }
}

/// Runs the service until it is told to stop, or until its parent is gone.
///
/// # Errors
/// When the service cannot start.
pub async fn serve(served: Served) -> anyhow::Result<()> {
    if std::env::var_os(END_WITH_PARENT).is_some() {
        end_with_parent();
    }
    // Crash points: `FAILPOINTS=order::pending=panic` makes the process die there as if by `kill -9`.
    let crash_points = fail::FailScenario::setup();
    die_at_crash_points();
    let outcome = served.run().await;
    crash_points.teardown();
    outcome
}

/// The parent holds the other end of standard input; when it dies, however it dies, reading comes to an end.
fn end_with_parent() {
    std::thread::spawn(|| {
        let mut nothing = [0; 1];
        while std::io::stdin().read(&mut nothing).is_ok_and(|bytes| bytes > 0) {}
        std::process::exit(0);
    });
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
