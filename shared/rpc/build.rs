//! Generates the service that this crate's own tests call.

fn main() -> anyhow::Result<()> {
    rpc_build::compile("tests/proto")
}
