//! Generates code from the documents of the services: they are the source, and not made from code as those of HTTP are.

fn main() -> anyhow::Result<()> {
    rpc_build::compile("../../api-specs/grpc")
}
