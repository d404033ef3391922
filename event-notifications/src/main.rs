//! `event-notifications <gateway|order|billing|notification|create-topics>`: one service of the style with thin events.

use clap::Parser;

/// One service of the style with thin events.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    service: event_notifications::Service,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    event_notifications::run(Cli::parse().service).await
}
