//! The house: who may depend on whom, and that a release is built without fault injection.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context as _, ensure};
use cargo_metadata::{DependencyKind, MetadataCommand};
use study::STYLES;

use super::Findings;
use crate::harness::{Outcome, Suite, workspace_root};

/// Whom each shared crate may depend on: the arrows of the design, which point one way.
const SHARED: [(&str, &[&str]); 9] = [
    ("database", &[]),
    ("domain", &[]),
    ("mail", &[]),
    ("sandbox", &[]),
    ("telemetry", &[]),
    ("web", &[]),
    ("messaging", &["database"]),
    ("store", &["database", "domain", "mail"]),
    ("api", &["domain", "store", "web"]),
];
/// Whom a style may depend on: what is shared, never another style, and nothing that is there for tests.
const STYLE: &[&str] = &["api", "domain", "mail", "messaging", "store", "telemetry", "web"];
/// Who may see everything.
const PROGRAMS: [&str; 2] = ["study", "tests"];

pub fn register(suite: &mut Suite) {
    suite.trial("house::dependencies_point_one_way".to_owned(), dependencies_point_one_way);
    suite.trial("house::a_release_is_built_without_fault_injection".to_owned(), no_faults_in_releases);
}

async fn dependencies_point_one_way() -> Outcome {
    let mut findings = Findings::default();
    for (package, dependencies) in dependencies()? {
        let shared = SHARED.iter().find(|(name, _)| *name == package).map(|(_, allowed)| *allowed);
        let style = STYLES.iter().any(|style| style.name == package).then_some(STYLE);
        let outcome = match shared.or(style) {
            Some(allowed) => {
                let beyond: Vec<_> =
                    dependencies.iter().filter(|name| !allowed.contains(&name.as_str())).collect();
                if beyond.is_empty() { Ok(()) } else { Err(anyhow::anyhow!("must not depend on {beyond:?}")) }
            }
            None if PROGRAMS.contains(&package.as_str()) => Ok(()),
            None => Err(anyhow::anyhow!("has no place yet: say here whom it may depend on")),
        };
        findings.note(package, outcome);
    }
    findings.conclude()
}

/// Each package of the workspace, and the packages of the workspace that it is built from.
fn dependencies() -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let metadata = MetadataCommand::new()
        .cargo_path(env!("CARGO"))
        .manifest_path(workspace_root().join("Cargo.toml"))
        .no_deps()
        .exec()?;
    let packages = metadata.packages.iter().map(|package| {
        // What only tests need (`dev-dependencies`) is built into nothing.
        let built_in = package.dependencies.iter().filter(|it| it.kind != DependencyKind::Development);
        let ours = built_in.filter(|dependency| dependency.path.is_some());
        (package.name.to_string(), ours.map(|dependency| dependency.name.clone()).collect())
    });
    Ok(packages.collect())
}

async fn no_faults_in_releases() -> Outcome {
    for style in STYLES {
        let features = features_of_fail(style.name)?;
        ensure!(!features.contains("failpoints"), "{}: `fail` has the features {features}", style.name);
    }
    // The other way round: this check can fail.
    let features = features_of_fail("study")?;
    ensure!(features.contains("failpoints"), "study: `fail` has the features {features:?}");
    Ok(())
}

/// The features of the crate `fail` in a build of `package` alone; empty where it is not built in.
fn features_of_fail(package: &str) -> anyhow::Result<String> {
    let tree = ["tree", "--package", package, "--edges", "normal,build", "--invert", "fail", "--depth", "0"];
    let output = Command::new(env!("CARGO"))
        .current_dir(workspace_root())
        .args(tree)
        .args(["--prefix", "none", "--format", "{f}", "--locked", "--offline"])
        .output()
        .context("cargo tree")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo tree: {errors}");
    Ok(String::from_utf8(output.stdout)?)
}
