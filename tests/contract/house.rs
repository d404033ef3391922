//! The house: which crate may depend on which, that no two files import each other, how long a style may be, and that a release is
//! built without fault injection.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use cargo_metadata::{DependencyKind, MetadataCommand, Package};
use lab::STYLES;

use super::Findings;
use super::imports::Imports;
use crate::harness::{Outcome, Suite, workspace_root};

/// Whom each shared crate may depend on: the arrows of the design, which point one way.
const SHARED: [(&str, &[&str]); 14] = [
    ("database", &[]),
    ("domain", &[]),
    ("mail", &[]),
    ("rpc-build", &[]),
    ("sandbox", &[]),
    ("telemetry", &[]),
    ("web", &[]),
    ("messaging", &["database"]),
    ("rpc", &["rpc-build", "web"]),
    ("store", &["database", "domain", "mail"]),
    ("api", &["domain", "store", "web"]),
    ("orchestration", &["api", "domain", "store", "web"]),
    ("rpc-contract", &["api", "domain", "rpc", "rpc-build", "store", "web"]),
    ("service", &["api", "mail", "messaging", "rpc", "store", "telemetry", "web"]),
];
/// Whom a style may depend on: what is shared, never another style, and nothing that is there for tests.
const STYLE: &[&str] = &[
    "api",
    "domain",
    "mail",
    "messaging",
    "orchestration",
    "rpc",
    "rpc-contract",
    "service",
    "store",
    "telemetry",
    "web",
];
/// How many lines a style's own code may have, with all comments: it is read in one sitting.
const LINES_MAX: usize = 1_000;
/// Those that keep more than the others: replicas of what others own; the state of a saga.
const LINES_MAX_OF: [(&str, usize); 2] = [("event-collab", 1_200), ("command-reply", 1_200)];
/// What stands on the styles, and on which of these each stands: `tests` needs nothing of `study` but its program.
const ABOVE: [(&str, &[&str]); 3] = [("lab", &[]), ("study", &["lab"]), ("tests", &["lab"])];

pub fn register(suite: &mut Suite) {
    suite.trial("house::dependencies_point_one_way".to_owned(), dependencies_point_one_way);
    suite.trial("house::no_two_files_import_each_other".to_owned(), no_two_files_import_each_other);
    suite.trial(
        "house::two_files_that_do_are_found_whatever_way_they_name_each_other".to_owned(),
        circles_are_found,
    );
    suite.trial(
        "house::what_only_looks_like_a_circle_is_none".to_owned(),
        what_only_looks_like_a_circle_is_none,
    );
    suite.trial("house::a_style_can_be_read_in_one_sitting".to_owned(), styles_are_short);
    suite.trial("house::a_style_with_a_line_too_many_is_found".to_owned(), lines_too_many_are_found);
    suite.trial("house::a_release_is_built_without_fault_injection".to_owned(), no_faults_in_releases);
}

async fn dependencies_point_one_way() -> Outcome {
    let mut findings = Findings::default();
    for (package, dependencies) in dependencies()? {
        let outcome = match allowed(&package) {
            Some(allowed) => {
                let beyond: Vec<_> =
                    dependencies.iter().filter(|name| !allowed.contains(name.as_str())).collect();
                if beyond.is_empty() { Ok(()) } else { Err(anyhow::anyhow!("must not depend on {beyond:?}")) }
            }
            None => Err(anyhow::anyhow!("has no place yet: say here whom it may depend on")),
        };
        findings.note(package, outcome);
    }
    findings.conclude()
}

/// Whom a package may depend on.
fn allowed(package: &str) -> Option<BTreeSet<&'static str>> {
    let styles = || STYLES.iter().map(|style| style.name);
    let shared = || SHARED.iter().map(|(name, _)| *name);
    let of = |table: &[(&str, &'static [&'static str])]| {
        table.iter().find(|(name, _)| *name == package).map(|(_, allowed)| allowed.iter().copied())
    };
    if let Some(allowed) = of(&SHARED) {
        return Some(allowed.collect());
    }
    if styles().any(|style| style == package) {
        return Some(STYLE.iter().copied().collect());
    }
    let allowed: BTreeSet<_> = of(&ABOVE)?.chain(shared()).collect();
    // Only there are the styles seen.
    Some(if package == "lab" { allowed.into_iter().chain(styles()).collect() } else { allowed })
}

/// Each package of the workspace, and the packages of the workspace that it is built from.
fn dependencies() -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let packages = packages()?.into_iter().map(|package| {
        // What only tests need (`dev-dependencies`) is built into nothing.
        let built_in = package.dependencies.iter().filter(|it| it.kind != DependencyKind::Development);
        let ours = built_in.filter(|dependency| dependency.path.is_some());
        (package.name.to_string(), ours.map(|dependency| dependency.name.clone()).collect())
    });
    Ok(packages.collect())
}

fn packages() -> anyhow::Result<Vec<Package>> {
    let metadata = MetadataCommand::new()
        .cargo_path(env!("CARGO"))
        .manifest_path(workspace_root().join("Cargo.toml"))
        .no_deps()
        .exec()?;
    Ok(metadata.packages)
}

async fn no_two_files_import_each_other() -> Outcome {
    let mut findings = Findings::default();
    for package in packages()? {
        let sources = sources(
            package.manifest_path.parent().context("a manifest has a directory")?.join("src").as_std_path(),
        )?;
        let imports = Imports::read(sources.iter().map(|(file, text)| (file.as_str(), text.as_str())))?;
        for circle in imports.circles() {
            let ties = circle.iter().flat_map(|file| {
                let within = imports.of(file).into_iter().filter(|other| circle.contains(other));
                within.map(move |other| format!("{file} -> {other}"))
            });
            let ties: Vec<String> = ties.collect();
            findings.note(&package.name, Err(anyhow::anyhow!("a circle: {}", ties.join(", "))));
        }
    }
    findings.conclude()
}

/// The Rust files below a directory, by their paths in it; none where a package keeps its sources elsewhere.
fn sources(directory: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let (mut found, mut ahead) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(next) = ahead.pop().filter(|next| next.exists()) {
        for entry in std::fs::read_dir(next)? {
            let path = entry?.path();
            if path.is_dir() {
                ahead.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(directory)?.to_string_lossy().into_owned();
                found.push((name, std::fs::read_to_string(path)?));
            }
        }
    }
    Ok(found)
}

async fn styles_are_short() -> Outcome {
    let mut findings = Findings::default();
    for style in STYLES {
        findings.note(style.name, is_short(style.name, &sources(&workspace_root().join(style.name))?));
    }
    findings.conclude()
}

/// Whether a style with these files, which are named from its directory, has no more lines than it may.
fn is_short(style: &str, files: &[(String, String)]) -> Outcome {
    let own = files.iter().filter(|(file, _)| !file.starts_with("tests/"));
    let lines: usize = own.map(|(_, text)| text.lines().count()).sum();
    let most = LINES_MAX_OF.iter().find(|(name, _)| *name == style).map_or(LINES_MAX, |(_, most)| *most);
    ensure!(lines > 0, "has no code where it is looked for");
    ensure!(lines <= most, "has {lines} lines of its own, and may have {most}");
    Ok(())
}

async fn lines_too_many_are_found() -> Outcome {
    let file = |name: &str, lines| (name.to_owned(), "//\n".repeat(lines));
    for (style, most) in [("restful", 1_000), ("event-collab", 1_200)] {
        // What its own tests say is not counted; what it is built with is.
        let mut files = vec![file("tests/it.rs", 500), file("build.rs", 10), file("src/lib.rs", most - 10)];
        is_short(style, &files)?;
        files.push(file("src/order/more.rs", 1));
        ensure!(is_short(style, &files).is_err(), "{style} may have {} lines", most + 1);
    }
    ensure!(is_short("restful", &[]).is_err(), "a style may be nowhere");
    Ok(())
}

/// Each way in which a file can name what another one defines.
async fn circles_are_found() -> Outcome {
    const A: (&str, &str) = ("a.rs", "use crate::b::B;\npub struct A(B);");
    let ways: [&[(&str, &str)]; 9] = [
        &[A, ("b.rs", "use crate::a::A; pub struct B;")],
        &[A, ("b.rs", "use crate::{a::{self, A as Other}}; pub struct B;")],
        &[A, ("b.rs", "use super::a::*; pub struct B;")],
        &[A, ("b.rs", "pub struct B; fn f() { Vec::<crate::a::A>::new(); }")],
        &[A, ("b.rs", "pub struct B; macro_rules! m { () => { $crate::a::A } }")],
        // Through the root, which hands the name on.
        &[A, ("lib.rs", "mod a; mod b; pub use a::A;"), ("b.rs", "use crate::A; pub struct B;")],
        // Around a third.
        &[A, ("b.rs", "use super::c::f; pub struct B;"), ("c.rs", "pub fn f(_: crate::a::A) {}")],
        // A parent and its child, named through the child's module.
        &[("a.rs", "mod b; pub struct A; fn f() { b::g(); }"), ("a/b.rs", "use super::A; pub fn g() {}")],
        // From an inline module.
        &[A, ("b.rs", "pub struct B; mod inner { use super::super::a::A; }")],
    ];
    for files in ways {
        let circles = Imports::read(files.iter().copied())?.circles().len();
        ensure!(circles == 1, "{circles} circles in {files:#?}");
    }
    Ok(())
}

async fn what_only_looks_like_a_circle_is_none() -> Outcome {
    let files = [
        ("lib.rs", "//! See [`crate::a::A`].\nmod a; mod b; mod below; pub use b::B; pub use other::Error;"),
        ("a.rs", "use crate::below::Below; pub struct A(crate::Error); impl super::B {}"),
        // A unit test, a comment, a text, a visibility, another crate's module of the same name.
        (
            "b.rs",
            "pub(in crate::a) struct B; /* crate::a::A */ const T: &str = \"crate::a::A\"; use other::a::A;
             #[cfg(test)] use crate::a::A as Tested; #[cfg(test)] mod tests { use crate::a::A; }",
        ),
        ("below.rs", "pub struct Below;"),
    ];
    let imports = Imports::read(files)?;
    ensure!(imports.circles().is_empty(), "{:?}", imports.circles());
    ensure!(imports.of("a.rs") == ["b.rs", "below.rs"], "{:?}", imports.of("a.rs"));
    ensure!(imports.of("b.rs").is_empty(), "{:?}", imports.of("b.rs"));
    Ok(())
}

async fn no_faults_in_releases() -> Outcome {
    for style in STYLES {
        let features = features_of_fail(style.name)?;
        ensure!(!features.contains("failpoints"), "{}: `fail` has the features {features}", style.name);
    }
    // The other way round: this check can fail.
    let features = features_of_fail("lab")?;
    ensure!(features.contains("failpoints"), "lab: `fail` has the features {features:?}");
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
