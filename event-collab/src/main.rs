//! `event-collab <gateway|order|billing|notification|create-topics|rebuild-replica>`: one service of the style with fat events.

use clap::Parser;

/// One service of the style with fat events.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    service: event_collab::Service,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    event_collab::run(Cli::parse().service).await
}
