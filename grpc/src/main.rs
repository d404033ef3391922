//! `grpc <gateway|order|billing|notification>`: one service of the gRPC style.

use clap::Parser;

/// One service of the gRPC style.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    service: grpc::Service,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    grpc::run(Cli::parse().service).await
}
