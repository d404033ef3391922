//! `restful <gateway|order|billing|notification>`: one service of the RESTful style.

use clap::Parser;

/// One service of the RESTful style.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    service: restful::Service,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    restful::run(Cli::parse().service).await
}
