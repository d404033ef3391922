//! `study`: brings a style up, compares, checks.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    study::cli::main().await
}
