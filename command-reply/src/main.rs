//! `command-reply <gateway|order|billing|notification|ticket|create-topics>`: one service of the command/reply style.

use clap::Parser;

/// One service of the command/reply style.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    service: command_reply::Service,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    command_reply::run(Cli::parse().service).await
}
