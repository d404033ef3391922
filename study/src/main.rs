//! `study`: brings a style up, compares, checks, tortures.

use std::process::ExitCode;

use tokio::runtime::Runtime;

fn main() -> ExitCode {
    study::serve::close_inherited_files();
    Runtime::new().expect("a runtime").block_on(study::cli::main())
}
