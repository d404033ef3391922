//! `study`: brings a style up, compares, checks, breaks.

use std::process::ExitCode;

use tokio::runtime::Runtime;

fn main() -> ExitCode {
    lab::running::close_inherited_files();
    Runtime::new().expect("a runtime").block_on(study::cli::main())
}
