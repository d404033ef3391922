//! All suites, over all styles, on one sandbox that the run starts itself.
//!
//! A case is an async function of a [`Stage`]: a style that runs on a database of its own. It is registered once and runs
//! for every style; what is honestly different between styles it asks of `stage.style.features`. After every case the
//! consistency checker must be clean.

mod booking;
mod contract;
mod faults;
mod harness;
mod scenario;
mod shelf;
mod wire;

use std::num::NonZero;
use std::process::ExitCode;

use libtest_mimic::Arguments;

use harness::Suite;

/// How many cases keep a core busy: more, and they wait for it.
const CASES_PER_CORE: usize = 4;

fn main() -> ExitCode {
    // Services are child processes of whoever starts them, and of the same program: here, of this one.
    if let Some(code) = lab::running::host() {
        return code;
    }
    let mut arguments = Arguments::from_args();
    // Cases wait for processes, disks and clocks most of the time, not for a core.
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    arguments.test_threads.get_or_insert(cores * CASES_PER_CORE);
    let mut suite = Suite::default();
    scenario::register(&mut suite);
    faults::register(&mut suite);
    contract::register(&mut suite);
    let conclusion = suite.run(&arguments);
    conclusion.exit_code()
}
