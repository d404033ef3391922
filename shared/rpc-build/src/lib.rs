//! Code from `.proto` files while a crate is built, without `protoc`: messages by `prost-build`, and of each service what
//! [`services`] describes. A crate's `build.rs` calls [`compile`], and the crate says `rpc::generated!(pub mod proto);`.

mod services;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use protox::Compiler;

/// What `rpc::generated!` includes.
const MODULES: &str = "rpc.rs";
/// What server reflection tells of the files.
const DESCRIPTORS: &str = "descriptors.bin";

/// Generates code for all `.proto` files below `directory`, which is also where they look for what they import.
///
/// # Errors
/// When a file is not valid, or has a method that streams.
pub fn compile(directory: impl AsRef<Path>) -> anyhow::Result<()> {
    let directory = directory.as_ref();
    println!("cargo::rerun-if-changed={}", directory.display());
    let files = files_below(directory)?;
    ensure!(!files.is_empty(), "there is no .proto file below {}", directory.display());
    let out = PathBuf::from(std::env::var_os("OUT_DIR").context("OUT_DIR: call this from a build script")?);
    let set = Compiler::new([directory])?
        .include_imports(true)
        .include_source_info(true)
        .open_files(files)?
        .file_descriptor_set();
    refuse_streams(&set)?;
    generate(set.clone(), &out)?;
    std::fs::write(out.join(DESCRIPTORS), without_comments(set).encode_to_vec())?;
    Ok(())
}

fn files_below(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let (mut found, mut ahead) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(next) = ahead.pop() {
        for entry in std::fs::read_dir(&next).with_context(|| next.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                ahead.push(path);
            } else if path.extension().is_some_and(|extension| extension == "proto") {
                found.push(path);
            }
        }
    }
    // The order in a directory is nobody's promise; the generated code is the same every time.
    found.sort();
    Ok(found)
}

/// No service of ours has one. It would need a deadline for the stream, a bound on what it keeps, and somebody to test both.
fn refuse_streams(set: &FileDescriptorSet) -> anyhow::Result<()> {
    let services = set.file.iter().flat_map(|file| &file.service);
    for (service, method) in services.flat_map(|it| it.method.iter().map(move |method| (it, method))) {
        ensure!(
            !method.client_streaming() && !method.server_streaming(),
            "{}.{} streams; only calls with one request and one response are generated",
            service.name(),
            method.name()
        );
    }
    Ok(())
}

fn generate(set: FileDescriptorSet, out: &Path) -> anyhow::Result<()> {
    prost_build::Config::new()
        .out_dir(out)
        .include_file(MODULES)
        .prost_path("::rpc::prost")
        .prost_types_path("::rpc::prost_types")
        .service_generator(Box::new(services::Services))
        .compile_fds(set)?;
    let modules = out.join(MODULES);
    let mut code = std::fs::read_to_string(&modules)?;
    code.push_str("/// The files that this was made of, for server reflection.\n");
    code.push_str("pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!(\"OUT_DIR\"), \"/");
    code.push_str(DESCRIPTORS);
    code.push_str("\"));\n");
    std::fs::write(modules, code)?;
    Ok(())
}

/// Whoever asks a server for its descriptors wants to call it; the comments are in the files.
fn without_comments(mut set: FileDescriptorSet) -> FileDescriptorSet {
    set.file.iter_mut().for_each(|file| file.source_code_info = None);
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(methods: &str) -> FileDescriptorSet {
        let source = format!("syntax = 'proto3'; message M {{}} service S {{ {methods} }}");
        let file = protox_parse(&source);
        FileDescriptorSet { file: vec![file] }
    }

    fn protox_parse(source: &str) -> prost_types::FileDescriptorProto {
        let directory =
            std::env::temp_dir().join(format!("rpc-build-{}-{}", std::process::id(), source.len()));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("it.proto"), source).unwrap();
        let set = protox::compile(["it.proto"], [&directory]).unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
        set.file.into_iter().next().unwrap()
    }

    #[test]
    fn a_method_that_streams_is_refused_by_its_name() {
        refuse_streams(&set("rpc Plain(M) returns (M);")).unwrap();
        for streaming in ["rpc Many(stream M) returns (M);", "rpc Many(M) returns (stream M);"] {
            let error = refuse_streams(&set(streaming)).unwrap_err().to_string();
            assert!(error.contains("S.Many"), "{error}");
        }
    }
}
